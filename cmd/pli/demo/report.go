package demo

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// sendReport delivers the first laboratory report as the laboratory's software
// would: over submission with TLS, signed in by its certificate alone.
func (d *Demo) sendReport(now time.Time) error {
	lab, holder := d.File.Establishments[0], d.File.Holders[0]
	conf, err := ClientTLS(d.File.CA, lab.Cert, lab.Key)
	if err != nil {
		return err
	}
	c, err := smtp.DialTLS(d.File.Submissions, conf)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(sasl.NewExternalClient("")); err != nil {
		return err
	}
	if err := c.SendMail(lab.Address, []string{holder.Address}, bytes.NewReader(LabReport(lab, holder, now).Bytes())); err != nil {
		return err
	}
	return c.Quit()
}

// ClientTLS returns a client's configuration that trusts ca and, if cert is not
// empty, shows that certificate. The files are PEM.
func ClientTLS(ca, cert, key string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	conf := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// LabReport is the sample laboratory report for a holder.
func LabReport(lab Establishment, h Holder, now time.Time) Message {
	day := now.Format("02/01/2006")
	return Message{
		From: fmt.Sprintf("%s <%s>", lab.Name, lab.Address), To: "<" + h.Address + ">",
		Subject: "Résultats de votre prise de sang du " + day,
		Header:  [][2]string{{"X-MSS-CODECDA", "11502-2"}},
		Text: "Bonjour,\n\nVous trouverez ci-joint le compte rendu de vos analyses.\n" +
			"Votre médecin en a reçu une copie. Vous pouvez répondre à ce message.\n\n" + lab.Name + "\n",
		Attachments: []Attachment{{"application/pdf", now.Format("20060102") + "_CR-BIO_" + "resultats.pdf", PDF(
			lab.Name+" - Compte rendu d'analyses", []string{
				"Patient : " + h.Name, "Prélèvement du " + day, "",
				"Glycémie à jeun            0,92 g/L      (0,70 - 1,10)",
				"Cholestérol total          1,98 g/L      (< 2,00)",
				"Créatinine                 8,1 mg/L      (5,0 - 9,0)",
				"Hémoglobine                13,6 g/dL     (12,0 - 16,0)",
				"TSH                        1,84 mUI/L    (0,40 - 4,00)", "",
				"Résultats validés par le biologiste. Document d'exemple."})}},
		ID: fmt.Sprintf("rapport-%d@%s", now.UnixNano(), labDomain), Date: now,
	}
}
