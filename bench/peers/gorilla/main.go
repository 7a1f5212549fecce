// A broadcast server with gorilla/websocket, after examples/chat of its repository: a reader and a
// writer goroutine for each client, and a bounded channel between the hub and the writer.
//
// What differs from the chat, each to its advantage:
//   - PreparedMessage, documented as the way "to efficiently send a message payload to multiple
//     connections": a frame is made once.
//   - The hub is a lock around a set instead of a goroutine, which saves a channel on the way.
//   - A client whose channel is full misses a message instead of being hung up on: what it missed
//     shows as its reach.
package main

import (
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"tickgate/bench/peers/lines"
)

const (
	// queueMax is what may wait for one client: 50 ms at 20,000 ticks a second. The chat has 256.
	queueMax = 1024
	// writeWait is the chat's time for one write.
	writeWait = 10 * time.Second
)

var upgrader = websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}

type client struct {
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
	gone chan struct{}
}

type hub struct {
	mu      sync.RWMutex
	clients map[*client]struct{}
}

func (h *hub) broadcast(line []byte) {
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, line)
	if err != nil {
		log.Fatal(err)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for c := range h.clients {
		select {
		case c.send <- message:
		default:
		}
	}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been told
	}
	c := &client{conn, make(chan *websocket.PreparedMessage, queueMax), make(chan struct{})}
	h.mu.Lock()
	h.clients[c] = struct{}{}
	h.mu.Unlock()
	// New goroutines, as in the chat, so that what the request holds can be collected.
	go c.write()
	go h.read(c)
}

func (c *client) write() {
	defer c.conn.Close()
	for {
		select {
		case message := <-c.send:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if err := c.conn.WritePreparedMessage(message); err != nil {
				return
			}
		case <-c.gone:
			return
		}
	}
}

// read answers pings and closes, which the library does within NextReader.
func (h *hub) read(c *client) {
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			break
		}
	}
	h.mu.Lock()
	delete(h.clients, c)
	h.mu.Unlock()
	close(c.gone)
}

func main() {
	h := &hub{clients: make(map[*client]struct{})}
	lines.Serve(h, h.broadcast)
}
