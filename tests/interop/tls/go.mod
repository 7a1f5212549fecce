module tickgate/tests/interop/tls

go 1.19

require github.com/gorilla/websocket v1.5.3
