package web

import "net/http"

// routes is every address of the portal, and who may ask for it.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range []route{
		{"GET /{$}", anyone, (*visit).home},
		{"GET /static/{hash}/{name}", anyone, (*visit).static},
		{"GET /favicon.ico", anyone, (*visit).favicon},
		{"GET /sign-in", anyone, (*visit).signInForm},
		{"POST /sign-in", anyone, (*visit).signIn},
		{"GET /sign-in/code", anyone, (*visit).codeForm},
		{"POST /sign-in/code", anyone, (*visit).code},
		{"GET /recover", anyone, (*visit).recoverForm},
		{"POST /recover", anyone, (*visit).recover},
		{"GET /recover/code", anyone, (*visit).recoverCodeForm},
		{"POST /recover/code", anyone, (*visit).recoverCode},
		{"POST /sign-out", signedIn, (*visit).signOut},

		{"GET /mail", signedIn, (*visit).mailHome},
		{"GET /mail/{box}", signedIn, (*visit).box},
		{"POST /mail/{box}/act", signedIn, (*visit).act},
		{"GET /mail/{box}/empty", signedIn, (*visit).emptyForm},
		{"GET /mail/{box}/{uid}", signedIn, (*visit).letter},
		{"GET /mail/{box}/{uid}/letter/{part}", signedIn, (*visit).letterFrame},
		{"GET /mail/{box}/{uid}/part/{part}", signedIn, (*visit).part},
		{"GET /mail/{box}/{uid}/open/{part}", signedIn, (*visit).openPart},
		{"GET /mail/{box}/{uid}/reply", signedIn, (*visit).replyForm},
		{"GET /mail/{box}/{uid}/edit", signedIn, (*visit).draftForm},
		{"GET /mail/{box}/{uid}/delete", signedIn, (*visit).deleteForm},
		{"GET /mail/{box}/{uid}/file/{part}", holder, (*visit).fileForm},
		{"POST /mail/{box}/{uid}/file/{part}", holder, (*visit).file},
		{"GET /write", signedIn, (*visit).writeForm},
		{"POST /write/send", signedIn, (*visit).send},
		{"POST /write/draft", signedIn, (*visit).keepDraft},

		{"GET /dossier", holder, (*visit).dossier},
		{"GET /dossier/{id}", holder, (*visit).document},
		{"GET /dossier/{id}/content", holder, (*visit).documentContent},
		{"GET /trace", holder, (*visit).trace},
		{"GET /trace/{file}", holder, (*visit).traceFile},

		{"GET /account", signedIn, (*visit).account},
		{"POST /account/mail-password", signedIn, (*visit).newMailPassword},
		{"POST /account/mail-password/remove", signedIn, (*visit).removeMailPassword},
		{"POST /account/session/end", signedIn, (*visit).endSession},
		{"POST /account/password", signedIn, (*visit).newPassword},
		{"POST /account/recovery", signedIn, (*visit).newRecoveryCode},
		{"GET /account/key", signedIn, (*visit).keyForm},
		{"POST /account/key", signedIn, (*visit).keyFile},

		{"GET /events", signedIn, (*visit).events},
		{"GET /alive", signedIn, (*visit).alive},
		{"/", anyone, (*visit).nowhere},
	} {
		mux.Handle(rt.pattern, s.handle(rt))
	}
	return mux
}
