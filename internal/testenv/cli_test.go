package testenv_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pli/internal/testenv"
)

// pli runs the program and returns its output and exit code.
func pli(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(testenv.Pli(t), args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Every verb tells what it does, with an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"demo", "init", "serve", "space add", "space list", "space state", "member add", "member list", "domain add", "domain list", "verify", "keep sweep", "keep compact", "keep status"} {
		out, code := pli(t, append(strings.Fields(verb), "--help")...)
		if code != 0 || !strings.Contains(out, "Example") {
			t.Errorf("pli %s --help: exit %d\n%s", verb, code, out)
		}
	}
	if out, code := pli(t, "nonsense"); code != 2 || !strings.Contains(out, "--help") {
		t.Errorf("pli nonsense: exit %d: %s", code, out)
	}
}

// Every fault of a configuration file is told at once, with its line.
func TestEveryFaultOfTheConfigurationIsTold(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pli.toml")
	text := "[instance]\nname = 3\n\n[listen]\nweb = \"nowhere\"\nmetrics = \"10.0.0.1:9464\"\n\n[limits]\nmesage_bytes = 5\nrecipients = 0\n\n[signin]\ncode_life = \"soon\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := pli(t, "serve", "--config", file)
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{":2: instance.name", ":5: listen.web", ":6: listen.metrics", ":9: limits.mesage_bytes", "did you mean limits.message_bytes", ":10: limits.recipients", ":13: signin.code_life"} {
		if !strings.Contains(out, want) {
			t.Errorf("not told: %s\n%s", want, out)
		}
	}
	if err := os.WriteFile(file, []byte("[instance\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := pli(t, "serve", "--config", file); code != 1 || !strings.Contains(out, ":2:") {
		t.Errorf("a broken file: exit %d: %s", code, out)
	}
}

// The operator's verbs work on an instance that is stopped and on one that
// runs, in words and in JSON.
func TestOperatorsVerbs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "instance")
	if out, code := pli(t, append([]string{"init", "--dir", dir, "--dev-ca", "--local-domain", "medecin.pli.test"}, testenv.Stores(t)...)...); code != 0 {
		t.Fatalf("init: %s", out)
	}
	if out, code := pli(t, "init", "--dir", dir); code != 1 || !strings.Contains(out, "not empty") {
		t.Errorf("a second init: exit %d: %s", code, out)
	}
	config := filepath.Join(dir, "pli.toml")
	if out, code := pli(t, "space", "add", "--config", config, "--ins", "279035121518989", "--family", "DUPONT", "--given", "Anne", "--birth", "1979-03-12"); code != 0 {
		t.Fatalf("space add: %s", out)
	}
	if out, code := pli(t, "space", "add", "--config", config, "--ins", "279035121518989", "--family", "DUPONT", "--given", "Anne", "--birth", "1979-03-12"); code != 1 {
		t.Errorf("the same INS again: exit %d: %s", code, out)
	}
	if out, code := pli(t, "space", "add", "--config", config, "--ins", "279035121518900", "--family", "X", "--given", "Y", "--birth", "1979-03-12"); code != 1 {
		t.Errorf("a wrong key: exit %d: %s", code, out)
	}
	out, code := pli(t, "member", "add", "--config", config, "--address", "a@medecin.pli.test", "--rpps", "10101343233", "--name", "Dr A", "--json")
	var member struct {
		MailPassword string `json:"mail_password"`
	}
	if err := json.Unmarshal([]byte(out), &member); code != 0 || err != nil || member.MailPassword == "" {
		t.Fatalf("member add: exit %d, %v: %s", code, err, out)
	}
	if out, code := pli(t, "domain", "add", "--config", config, "--name", "mss.autre.test", "--subject", "CN=smtp.mss.autre.test,O=Autre,C=FR"); code != 0 {
		t.Errorf("domain add: %s", out)
	}
	if out, code := pli(t, "verify", "--config", config, "--json"); code != 0 || !strings.Contains(out, `"problems": []`) {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	c := testenv.StartChild(t, filepath.Join(t.TempDir(), "demo"))
	config = filepath.Join(c.Dir, "pli.toml")
	if out, code := pli(t, "space", "list", "--config", config, "--json"); code != 0 || strings.Count(out, `"active"`) != len(c.File.Holders) {
		t.Errorf("space list on a running instance: exit %d: %s", code, out)
	}
	if out, code := pli(t, "verify", "--config", config); code != 0 || !strings.Contains(out, "0 problem(s)") {
		t.Errorf("verify on a running instance: exit %d: %s", code, out)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		resp, err := http.Get(c.File.Metrics + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if err := c.Stop(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
}
