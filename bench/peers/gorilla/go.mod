module tickgate/bench/peers/gorilla

go 1.19

require (
	github.com/gorilla/websocket v1.5.3
	tickgate/bench/peers/lines v0.0.0
)

replace tickgate/bench/peers/lines => ../lines
