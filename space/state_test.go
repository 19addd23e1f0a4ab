package space_test

import (
	"testing"
	"time"

	"pli/internal/errs"
	"pli/space"
)

var states = []space.State{space.Announced, space.Opposed, space.Open, space.Active, space.Closed, space.Archived, space.Deleted}

func TestStateWords(t *testing.T) {
	t.Parallel()
	for _, s := range states {
		if got, err := space.ParseState(s.String()); got != s || err != nil {
			t.Errorf("%v: %v, %v", s, got, err)
		}
		if want := s == space.Open || s == space.Active; s.AcceptsMail() != want {
			t.Errorf("%v accepts mail: %v", s, !want)
		}
	}
	for _, word := range []string{"", "Open", "open ", "gone"} {
		if s, err := space.ParseState(word); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, %v", word, s, err)
		}
	}
	if space.State(0).String() != "" || space.State(200).String() != "" {
		t.Error("what is no state has a word")
	}
}

// Every step of a space's life, and no other. A2 A4
func TestLife(t *testing.T) {
	t.Parallel()
	allowed := map[[2]space.State]bool{
		{space.Announced, space.Opposed}: true, {space.Announced, space.Open}: true, {space.Announced, space.Active}: true,
		{space.Opposed, space.Announced}: true, {space.Opposed, space.Open}: true, {space.Opposed, space.Active}: true,
		{space.Open, space.Opposed}: true, {space.Open, space.Active}: true, {space.Open, space.Closed}: true,
		{space.Active, space.Closed}: true,
		{space.Closed, space.Active}: true, {space.Closed, space.Archived}: true,
		{space.Archived, space.Active}: true, {space.Archived, space.Deleted}: true,
	}
	h := newHouse(t)
	for i, from := range states {
		for j, to := range append(states, 0, 99) {
			n := person(t, i*10+j)
			n.State = from
			made := h.add(n)
			h.now = h.now.Add(time.Hour)
			err := h.spaces.SetState(t.Context(), made.ID, to)
			got, readErr := h.spaces.ByID(t.Context(), made.ID)
			if readErr != nil {
				t.Fatal(readErr)
			}
			switch {
			case from == to:
				if err != nil || got != made {
					t.Errorf("%v again: %v, %+v", from, err, got)
				}
			case allowed[[2]space.State{from, to}]:
				if err != nil || got.State != to || !got.Changed.Equal(h.now.Truncate(time.Millisecond)) || !got.Created.Equal(made.Created) {
					t.Errorf("from %v to %v: %v, %+v", from, to, err, got)
				}
			default:
				if !errs.Is(err, errs.Conflict) || got != made {
					t.Errorf("from %v to %v (%d): %v, %v", from, to, to, err, got.State)
				}
			}
		}
	}
}
