package imapd

import "github.com/emersion/go-imap/v2/imapserver"

// Idle answers IDLE (RFC 9051 6.3.13): it tells changes as they come, until
// stop. It runs beside the goroutine that reads from the client.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	for {
		changed, err := s.tell(w, stop)
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stop:
			return nil
		case <-s.ctx.Done():
			return nil
		}
	}
}

// tell tells what has changed, and returns what to wait on for more: nothing
// at all if no mailbox is selected. After stop, another command may have begun:
// it says nothing any more.
func (s *session) tell(w *imapserver.UpdateWriter, stop <-chan struct{}) (<-chan struct{}, error) {
	s.enter()
	defer s.leave()
	select {
	case <-stop:
		return nil, nil
	case <-s.ctx.Done():
		return nil, nil
	default:
	}
	if s.view == nil {
		return nil, nil
	}
	changed := s.view.Changed()
	return changed, writeChanges(w, s.view.Poll(true))
}
