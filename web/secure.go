package web

import "net/http"

// The policies of what is served. None allows inline script or style, nor
// anything from elsewhere (Content Security Policy Level 3).
const (
	// Pages of the portal: own script, style and images; own frames for
	// letters and documents; nobody may frame them.
	policyPage = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"frame-src 'self'; object-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	// An HTML letter in its frame: no script at all, images only those that
	// are in the page, an origin of its own; its links open apart.
	policyLetter = "default-src 'none'; style-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; " +
		"frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
	// A picture or a text that somebody sent, alone or in a frame.
	policyFile = "default-src 'none'; img-src 'self'; frame-ancestors 'self'; sandbox"
	// A PDF: the browser's own viewer does not start inside a sandbox.
	policyPDF = "default-src 'none'; object-src 'self'; frame-ancestors 'self'"
)

// secure sets the headers that every answer carries; what is framed by our own
// pages loosens them with framed.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policyPage)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()")
	h.Set("Strict-Transport-Security", "max-age=63072000") // RFC 6797
	h.Set("X-Robots-Tag", "noindex, nofollow")
}

// framed gives an answer a policy of its own and lets our own pages frame it.
func framed(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
}
