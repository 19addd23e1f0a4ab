package consent

import (
	"pli/notify"
	"pli/store"
)

// The kinds of notice that a holder gets (mission C5).
const (
	KindMessage  = "message"  // a letter has come
	KindDocument = "document" // somebody else added a document
	KindAccess   = "access"   // somebody else looked at the dossier or the trace
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
	if g.cfg.Outbox == nil || kind == "" || f.Relation == Self || contact == "" {
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
	}
	return "Votre espace a été consulté / Your space was looked at",
		"Votre espace de santé a été consulté. Connectez-vous pour voir par qui.\n\n" +
			"Somebody looked at your health space. Sign in to see who.\n"
}
