package consent

import (
	"pli/notify"
	"pli/space"
	"pli/store"
)

// The kinds of notice that a holder gets (mission C5).
const (
	KindMessage  = "message"  // a letter has come
	KindDocument = "document" // somebody else added a document
	KindAccess   = "access"   // somebody else looked at the dossier or the trace

	KindNearlyFull = "nearly-full" // the mailbox is about to refuse letters
	KindFull       = "full"        // the mailbox has refused a letter
)

// told says of which acts holders are told, when somebody else did them.
var told = map[Act]string{
	ActMailDeliver: KindMessage,
	ActDossierFile: KindDocument,
	ActDossierList: KindAccess,
	ActDossierRead: KindAccess,
	ActTraceRead:   KindAccess,
}

// tell puts a notice for the holder into the transaction of the act that it is
// about.
func (g *Gate) tell(tx store.Tx, contact string, f Facts) error {
	kind := told[f.Act]
	if kind == "" || f.Relation == Self {
		return nil
	}
	return g.put(tx, contact, kind)
}

// Tell puts a notice of a kind for the holder into a transaction on their
// space that is no act of anybody's. Error: NotFound if there is no such space.
func (g *Gate) Tell(tx store.Tx, kind string) error {
	_, contact, err := space.StateOf(tx)
	if err != nil {
		return err
	}
	return g.put(tx, contact, kind)
}

func (g *Gate) put(tx store.Tx, contact, kind string) error {
	if g.cfg.Outbox == nil || contact == "" {
		return nil
	}
	subject, body := g.cfg.Words(kind)
	n := notify.Notice{Kind: kind, To: contact, Subject: subject, Body: body}
	return g.cfg.Outbox.Enqueue(tx, "holder/"+kind, n, g.cfg.Now().Add(g.cfg.TellAfter))
}

// words are the notices that Config.Words has by default.
func words(kind string) (subject, body string) {
	switch kind {
	case KindMessage:
		return "Nouveau message dans votre espace / New message in your space",
			"Un nouveau message vous attend dans votre espace de santé. Connectez-vous pour le lire.\n\n" +
				"A new message is waiting in your health space. Sign in to read it.\n"
	case KindDocument:
		return "Nouveau document dans votre espace / New document in your space",
			"Un document a été ajouté à votre espace de santé. Connectez-vous pour le voir.\n\n" +
				"A document was added to your health space. Sign in to see it.\n"
	case KindNearlyFull:
		return "Votre messagerie est presque pleine / Your mailbox is nearly full",
			"La messagerie de votre espace de santé est presque pleine. Supprimez des messages dont vous n'avez plus besoin : " +
				"quand elle sera pleine, elle refusera les nouveaux.\n\n" +
				"The mailbox of your health space is nearly full. Delete messages that you need no more: " +
				"once it is full it will refuse new ones.\n"
	case KindFull:
		return "Votre messagerie est pleine / Your mailbox is full",
			"La messagerie de votre espace de santé est pleine : un message vient d'être refusé, et son expéditeur en est averti. " +
				"Supprimez des messages dont vous n'avez plus besoin.\n\n" +
				"The mailbox of your health space is full: a message has just been refused, and its sender told so. " +
				"Delete messages that you need no more.\n"
	}
	return "Votre espace a été consulté / Your space was looked at",
		"Votre espace de santé a été consulté. Connectez-vous pour voir par qui.\n\n" +
			"Somebody looked at your health space. Sign in to see who.\n"
}
