package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGreet(t *testing.T) {
	w := httptest.NewRecorder()
	greet(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if got, want := w.Body.String(), greeting+"\n"; w.Code != http.StatusOK || got != want {
		t.Errorf("answered %d %q, want 200 %q", w.Code, got, want)
	}
}

func TestServeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, "127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}

func TestServeNeedsItsPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := serve(t.Context(), taken.Addr().String()); err == nil {
		t.Error("no error for a port in use")
	}
}
