// A client of npm's `ws`: URL and number of trades as arguments; one line of JSON at the end.
import WebSocket from "ws";

const [url, count] = [process.argv[2], Number(process.argv[3])];
const socket = new WebSocket(url, ["tickgate.v1.json"]);
const seen = { types: [], seqs: [], binary: 0 };

socket.on("open", () => {
  seen.protocol = socket.protocol;
  seen.extensions = socket.extensions;
  const params = { channel: "trade", symbol: ["*.SIM"] };
  socket.send(JSON.stringify({ method: "subscribe", req_id: 1, params }));
  socket.ping("are you there");
});
socket.on("pong", (data) => { seen.pong = data.toString(); });
socket.on("message", (data, isBinary) => {
  seen.binary += isBinary;
  const message = JSON.parse(data);
  if (message.channel !== "trade") {
    seen.types.push(message.type ?? message.method);
  } else if (message.symbol === "A.SIM" && seen.seqs.length < count) {
    if (seen.seqs.push(message.seq) === count) socket.close(1000, "enough");
  }
});
socket.on("error", (error) => { seen.error = String(error); });
socket.on("close", (code) => console.log(JSON.stringify({ ...seen, code })));
