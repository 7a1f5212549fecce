module tickgate/bench/peers/lines

go 1.19
