package imapd

import "github.com/emersion/go-imap/v2/imapserver"

// Idle answers IDLE (RFC 9051 6.3.13): it tells changes as they come, until
// stop. It runs beside the goroutine that reads from the client, and does as
// little as it can on a stack of its own: there may be thousands.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	changed, owes := s.idling()
	for {
		if !owes {
			select {
			case <-changed:
			case <-stop:
				return nil
			case <-s.ctx.Done():
				return nil
			}
		}
		owes = false
		if err := s.tell(w, stop); err != nil {
			return err
		}
	}
}

// idling returns what to wait on, nothing at all if no mailbox is selected, and
// whether there is something to tell already.
func (s *session) idling() (changed <-chan struct{}, owes bool) {
	s.enter()
	defer s.leave()
	if s.view == nil {
		return nil, false
	}
	return s.view.Changed(), s.owes
}

// tell tells what has changed. After stop, another command may have begun: it
// says nothing any more.
func (s *session) tell(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	s.enter()
	defer s.leave()
	select {
	case <-stop:
		return nil
	case <-s.ctx.Done():
		return nil
	default:
	}
	if err := s.still(); err != nil {
		s.guard.bye(err.(farewell))
		return nil
	}
	s.owes = false
	return writeChanges(w, s.view.Poll(true))
}
