package awsapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/source"
)

// profile lets the SDK take its credentials from a process.
func profile(t *testing.T, process string) *Connection {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[default]\ncredential_process = "+process+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"AWS_CONFIG_FILE": file, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, v)
	}
	return &Connection{Region: "us-east-1"}
}

// TestProcess: what a credential_process prints is not for people to see, also
// if the SDK can't read it.
func TestProcess(t *testing.T) {
	_, err := profile(t, "echo SecretAccessKey=c4nary").Config(t.Context())
	var f *source.Failure
	if !errors.As(err, &f) || !f.Unreadable || strings.Contains(f.Reason+f.Remedy, "c4nary") || !strings.Contains(f.Reason, "credential_process") {
		t.Errorf("%v", err)
	}
}

// TestNoTime: a login that takes too long is not one that there isn't.
func TestNoTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := profile(t, "sleep 1").Config(ctx)
	var f *source.Failure
	if !errors.As(err, &f) || f.Reason != source.Network(context.DeadlineExceeded).Reason {
		t.Errorf("%v", err)
	}
}
