// Package lines is what the Go peers share: the command line, lines from UDP, the end on SIGTERM.
package lines

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// Serve has handler serve WebSocket clients, calls broadcast with every line that comes, and
// returns on SIGTERM. The bytes of a line are the callee's to keep.
func Serve(handler http.Handler, broadcast func(line []byte)) {
	port := flag.Int("port", 0, "WebSocket clients, on 127.0.0.1")
	udpPort := flag.Int("udp-port", 0, "ticks, on 127.0.0.1")
	flag.Parse()

	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: *udpPort})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, handler)) }()
	go read(udp, broadcast)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("ready")
	<-stop
}

func read(udp *net.UDPConn, broadcast func(line []byte)) {
	datagram := make([]byte, 65536)
	for {
		n, _, err := udp.ReadFromUDPAddrPort(datagram)
		if err != nil {
			log.Fatal(err)
		}
		text := append([]byte(nil), datagram[:n]...)
		for _, line := range bytes.Split(text, []byte("\n")) {
			if len(line) > 0 {
				broadcast(line)
			}
		}
	}
}
