// A client of crypto/tls and gorilla/websocket: URL, number of trades and the authorities' file as arguments; one
// line of JSON at the end.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"strconv"

	"github.com/gorilla/websocket"
)

type message struct {
	Channel, Symbol, Method string
	Seq                     uint64
}

type result struct {
	Error string   `json:"error,omitempty"`
	TLS   bool     `json:"tls"`
	Seqs  []uint64 `json:"seqs"`
	Code  int      `json:"code"`
}

func talk(url string, count int, roots *x509.CertPool) (r result) {
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: roots}, Subprotocols: []string{"tickgate.v1.json"}}
	conn, _, err := dialer.Dial(url, nil)
	if err != nil {
		r.Error = err.Error()
		return
	}
	defer conn.Close()
	secure, ok := conn.NetConn().(*tls.Conn)
	r.TLS = ok && secure.ConnectionState().Version == tls.VersionTLS13
	conn.WriteMessage(websocket.TextMessage,
		[]byte(`{"method":"subscribe","req_id":1,"params":{"channel":"trade","symbol":["*.SIM"]}}`))
	for {
		_, text, err := conn.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			r.Code = closed.Code
			return
		}
		var m message
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			r.Error = err.Error()
			return
		}
		if m.Channel != "trade" || m.Symbol != "A.SIM" || len(r.Seqs) == count {
			continue
		}
		if r.Seqs = append(r.Seqs, m.Seq); len(r.Seqs) == count {
			conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "enough"))
		}
	}
}

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	authorities, err := os.ReadFile(os.Args[3])
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(authorities) {
		panic("no authorities")
	}
	json.NewEncoder(os.Stdout).Encode(talk(os.Args[1], count, roots))
}
