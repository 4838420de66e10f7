// Hello is a web server to put into an image: it answers on port 8080 with a
// greeting, or with -once prints that and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const greeting = "Hello from an image that terrine built."

func main() {
	once := flag.Bool("once", false, "print the greeting and exit")
	addr := flag.String("addr", ":8080", "address to listen on")
	flag.Parse()
	if *once {
		fmt.Println(greeting)
		return
	}
	// Process 1 of a container is not stopped by a signal it has no handler for.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

// serve answers on addr until ctx ends, and then lets requests under way end.
func serve(ctx context.Context, addr string) error {
	server := &http.Server{
		Addr:              addr,
		Handler:           http.HandlerFunc(greet),
		ReadHeaderTimeout: 10 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func greet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, greeting+"\n")
}
