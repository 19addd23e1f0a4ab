package testenv_test

import (
	"os"
	"testing"

	"pli/internal/testenv"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testenv.CleanUp()
	os.Exit(code)
}
