package testenv_test

import (
	"os"
	"testing"

	"pli/internal/engines"
	"pli/internal/testenv"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.CleanUp()
	engines.StopAll()
	os.Exit(code)
}
