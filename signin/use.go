package signin

import (
	"context"
	"time"

	"pli/store"
)

// used is the record of when each mail password was last signed in with.
type used struct {
	Days map[string]int64 `cbor:"1,keyasint"` // slot to days since 1970, UTC
}

const daySeconds = 24 * 60 * 60

func (u used) day(slot string) time.Time {
	if u.Days[slot] == 0 {
		return time.Time{}
	}
	return time.Unix(u.Days[slot]*daySeconds, 0).UTC()
}

// noteUse keeps the day of a mail password's use: at most one write a day for
// each. A failure is logged: the client signs in all the same.
func (s *Service) noteUse(ctx context.Context, a *account, slot string, now time.Time) {
	today := now.Unix() / daySeconds
	if a.used.Days[slot] == today {
		return
	}
	err := s.cfg.DB.Update(ctx, a.owner, func(tx store.Tx) error {
		fresh, err := read(tx)
		if err != nil {
			return err
		}
		days := map[string]int64{slot: today}
		for _, info := range a.ring.Slots() { // those that are gone are forgotten
			if day, ok := fresh.used.Days[info.ID]; ok && info.ID != slot {
				days[info.ID] = day
			}
		}
		return store.Save(tx, usedKey(), used{days})
	})
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Warn("the use of a mail password is not noted", "account", a.owner, "err", err)
	}
}
