// A broadcast server with the centrifuge library (the core of Centrifugo): one channel, to which
// every client is subscribed by the server, over the library's JSON protocol.
//
// After the tutorial of its README and _examples/benchmark/bench_server of its repository, with the
// latter's settings: a write queue of 10 MB for each client, replies past that queue, no delay, and
// up to 16 messages a frame where a client's queue has that many (the library's default).
//
// A client sends {"id":1,"connect":{}} and gets {"push":{"channel":"ticks","pub":{"data":LINE}}}.
package main

import (
	"context"
	"log"

	"github.com/centrifugal/centrifuge"

	"tickgate/bench/peers/lines"
)

const channel = "ticks"

func connecting(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
	return centrifuge.ConnectReply{
		Credentials:       &centrifuge.Credentials{},
		Subscriptions:     map[string]centrifuge.SubscribeOptions{channel: {}},
		ReplyWithoutQueue: true,
	}, nil
}

func main() {
	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: 10 << 20})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(connecting)
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	handler := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{})
	lines.Serve(handler, func(line []byte) {
		if _, err := node.Publish(channel, line); err != nil {
			log.Fatal(err)
		}
	})
}
