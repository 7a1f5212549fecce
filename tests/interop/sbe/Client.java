import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.agrona.concurrent.UnsafeBuffer;
import tickgate.sbe.*;

/**
 * Subscribes at the URL and prints each binary message as the JSON that it stands for, until the server closes; or,
 * given a number, to quotes too, and until so many records came.
 */
final class Client implements WebSocket.Listener {
    private static final String SUBSCRIBE =
        "{\"method\":\"subscribe\",\"req_id\":1,\"params\":{\"channel\":\"trade\",\"symbol\":[\"*\"]}}";
    private static final String QUOTES = SUBSCRIBE.replace("trade", "bbo").replace("]", "],\"mode\":\"lossless\"");

    private final long wanted; // records; 0: all that come
    private long records;

    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private final ByteArrayOutputStream partial = new ByteArrayOutputStream();
    private final CompletableFuture<Integer> closed = new CompletableFuture<>();
    private final Map<Long, String> topics = new HashMap<>();
    private final Map<Long, String> channels = new HashMap<>();
    private final UnsafeBuffer buffer = new UnsafeBuffer(0, 0);
    private final MessageHeaderDecoder header = new MessageHeaderDecoder();

    private Client(long wanted) {
        this.wanted = wanted;
    }

    public static void main(String[] arguments) {
        Client client = new Client(arguments.length > 1 ? Long.parseLong(arguments[1]) : 0);
        HttpClient.newHttpClient().newWebSocketBuilder().subprotocols("tickgate.v1.sbe")
            .buildAsync(URI.create(arguments[0]), client).join();
        int code = client.closed.join();
        System.exit(code == 1000 ? 0 : 1);
    }

    @Override
    public void onOpen(WebSocket socket) {
        if (!socket.getSubprotocol().equals("tickgate.v1.sbe")) throw new IllegalStateException("another subprotocol");
        CompletableFuture<WebSocket> sent = socket.sendText(SUBSCRIBE, true);
        if (wanted > 0) sent.thenCompose(one -> one.sendText(QUOTES, true)); // one at a time
        socket.request(1);
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
        byte[] part = new byte[data.remaining()];
        data.get(part);
        partial.writeBytes(part);
        if (last) {
            boolean enough = wanted > 0 && records >= wanted;
            if (!enough) frame(partial.toByteArray());
            partial.reset();
            if (!enough && wanted > 0 && records >= wanted) socket.sendClose(1000, "enough");
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        closed.complete(code);
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        closed.completeExceptionally(error);
    }

    private void frame(byte[] bytes) {
        buffer.wrap(bytes);
        for (int at = 0; at < bytes.length && at >= 0;) at = message(at);
    }

    /** Where the next message begins; -1 after one of an unknown template, which is a frame's last. */
    private int message(int at) {
        header.wrap(buffer, at);
        if (header.schemaId() != MessageHeaderDecoder.SCHEMA_ID) throw new IllegalStateException("another schema");
        int block = at + header.encodedLength(), length = header.blockLength(), version = header.version();
        switch (header.templateId()) {
            case TopicDecoder.TEMPLATE_ID: {
                TopicDecoder m = new TopicDecoder().wrap(buffer, block, length, version);
                channels.put(m.number(), name(m.channel()));
                topics.put(m.number(), m.symbol());
                return m.limit();
            }
            case TradeDecoder.TEMPLATE_ID: return trade(new TradeDecoder().wrap(buffer, block, length, version));
            case BookDecoder.TEMPLATE_ID: return book(new BookDecoder().wrap(buffer, block, length, version));
            case CandleDecoder.TEMPLATE_ID: return candle(new CandleDecoder().wrap(buffer, block, length, version));
            case InstrumentDecoder.TEMPLATE_ID: return instrument(new InstrumentDecoder().wrap(buffer, block, length, version));
            case StatusDecoder.TEMPLATE_ID: return status(new StatusDecoder().wrap(buffer, block, length, version));
            case BboDecoder.TEMPLATE_ID: return bbo(new BboDecoder().wrap(buffer, block, length, version));
            case HeartbeatDecoder.TEMPLATE_ID: {
                HeartbeatDecoder m = new HeartbeatDecoder().wrap(buffer, block, length, version);
                out.println(new Row().text("channel", "heartbeat").number("n", m.n()).number("ts_send", m.tsSend()));
                return m.limit();
            }
            case GapDecoder.TEMPLATE_ID: {
                GapDecoder m = new GapDecoder().wrap(buffer, block, length, version);
                notice("gap", new Row().channel(name(m.channel())).optional("from", m.fromSeq())
                    .optional("to", m.toSeq()).optional("lost", m.lost()).text("reason", name(m.reason()))
                    .text("symbol", m.symbol()));
                return m.limit();
            }
            case EpochDecoder.TEMPLATE_ID: {
                EpochDecoder m = new EpochDecoder().wrap(buffer, block, length, version);
                Row row = new Row().text("epoch", m.epoch());
                String venue = m.venue();
                if (!venue.isEmpty()) row.text("venue", venue);
                if (m.continues() != YesNo.NULL_VAL) row.bare("continues", m.continues() == YesNo.yes ? "true" : "false");
                notice("epoch", row);
                return m.limit();
            }
            case RetiredDecoder.TEMPLATE_ID: {
                RetiredDecoder m = new RetiredDecoder().wrap(buffer, block, length, version);
                notice("retired", new Row().channel(name(m.channel())).text("symbol", m.symbol()));
                return m.limit();
            }
            case ReplayCompletedDecoder.TEMPLATE_ID: {
                ReplayCompletedDecoder m = new ReplayCompletedDecoder().wrap(buffer, block, length, version);
                notice("replay_completed", new Row().channel(name(m.channel())).optional("from", m.fromSeq())
                    .optional("to", m.toSeq()).text("symbol", m.symbol()));
                return m.limit();
            }
            case SlowDecoder.TEMPLATE_ID: {
                SlowDecoder m = new SlowDecoder().wrap(buffer, block, length, version);
                notice("slow", new Row().number("level", m.level()).number("was", m.was())
                    .text("action", name(m.action())).number("interval_ms", m.intervalMs()).number("age_ms", m.ageMs()));
                return m.limit();
            }
            case ConflationDecoder.TEMPLATE_ID: return conflation(new ConflationDecoder().wrap(buffer, block, length, version));
            case LimitExceededDecoder.TEMPLATE_ID: {
                LimitExceededDecoder m = new LimitExceededDecoder().wrap(buffer, block, length, version);
                Row row = new Row().text("limit", m.limitName()).number("value", m.value()).optional("refused", m.refused());
                String subscription = m.subscription();
                if (!subscription.isEmpty()) row.text("subscription", subscription);
                notice("limit_exceeded", row);
                return m.limit();
            }
            case AuthExpiringDecoder.TEMPLATE_ID: {
                AuthExpiringDecoder m = new AuthExpiringDecoder().wrap(buffer, block, length, version);
                notice("auth_expiring", new Row().number("expires_at", m.expiresAt()));
                return m.limit();
            }
            case ShutdownDecoder.TEMPLATE_ID: {
                ShutdownDecoder m = new ShutdownDecoder().wrap(buffer, block, length, version);
                notice("shutdown", new Row().number("reconnect_after_ms", m.reconnectAfterMs()));
                return m.limit();
            }
            default: return -1;
        }
    }

    private int trade(TradeDecoder m) {
        Row head = head("trade", m.flags().snapshot(), m.topic()).number("seq", m.seq()).number("ts_event", m.tsEvent())
            .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped());
        Row row = new Row().decimal("price", m.price(), m.flags().priceNegativeZero())
            .decimal("qty", m.qty(), m.flags().qtyNegativeZero());
        if (m.side() == Side.NULL_VAL) row.bare("side", "null");
        else row.text("side", name(m.side()));
        out.println(head.bare("data", "[" + row.text("id", m.tradeId()) + "]"));
        return m.limit();
    }

    private int bbo(BboDecoder m) {
        Row head = head("bbo", m.flags().snapshot(), m.topic()).number("seq", m.seq()).number("ts_event", m.tsEvent())
            .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped());
        Row row = new Row().decimal("bid", m.bid(), m.flags().bidNegativeZero())
            .decimal("bid_qty", m.bidQty(), m.flags().bidQtyNegativeZero())
            .decimal("ask", m.ask(), m.flags().askNegativeZero())
            .decimal("ask_qty", m.askQty(), m.flags().askQtyNegativeZero());
        out.println(head.bare("data", "[" + row + "]"));
        return m.limit();
    }

    private int book(BookDecoder m) {
        Row head = head("book", m.flags().snapshot(), m.topic()).number("seq", m.seq()).number("ts_event", m.tsEvent())
            .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped())
            .bare("part", m.parts() == 0 ? "null" : "[" + m.part() + "," + m.parts() + "]");
        Row row = new Row();
        if (m.depth() != 0) row.number("depth", m.depth());
        if (m.flags().maybeBad()) row.bare("maybe_bad", "true");
        if (m.flags().hasChecksum()) row.number("checksum", m.checksum());
        List<Level> bids = new ArrayList<>(), asks = new ArrayList<>(); // groups, then texts, are read in their order
        for (BookDecoder.BidsDecoder one : m.bids()) bids.add(new Level(one.price(), one.priceExponent(), one.qty(), one.qtyExponent()));
        for (BookDecoder.AsksDecoder one : m.asks()) asks.add(new Level(one.price(), one.priceExponent(), one.qty(), one.qtyExponent()));
        Deque<BigInteger> wides = new ArrayDeque<>();
        for (BookDecoder.WideQtysDecoder one : m.wideQtys()) wides.add(wide(one.low(), one.high()));
        row.bare("bids", array(bids, wides)).bare("asks", array(asks, wides));
        String first = m.firstId(), last = m.lastId();
        if (!first.isEmpty()) row.text("first_id", first);
        if (!last.isEmpty()) row.text("last_id", last);
        out.println(head.bare("data", "[" + row + "]"));
        return m.limit();
    }

    private record Level(long price, int priceExponent, long qty, int qtyExponent) {}

    /** Quantities that do not fit their level are the next ones of `wides`. */
    private static String array(List<Level> levels, Deque<BigInteger> wides) {
        List<String> rows = new ArrayList<>();
        for (Level one : levels) {
            boolean isWide = one.qty == BookDecoder.BidsDecoder.qtyNullValue();
            BigInteger qty = isWide ? wides.remove() : BigInteger.valueOf(one.qty);
            String price = new BigDecimal(BigInteger.valueOf(one.price), -one.priceExponent).toPlainString();
            String text = qty.signum() == 0 ? "0" : new BigDecimal(qty, -one.qtyExponent).toPlainString();
            rows.add("[\"" + price + "\",\"" + text + "\"]");
        }
        return rows.toString();
    }

    private static BigInteger wide(long low, long high) {
        return BigInteger.valueOf(high).shiftLeft(64).add(new BigInteger(Long.toUnsignedString(low)));
    }

    private int candle(CandleDecoder m) {
        Row head = head("candle", m.flags().snapshot(), m.topic()).number("seq", m.seq()).number("ts_event", m.tsEvent())
            .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped());
        Row row = new Row().text("interval", channels.get(m.topic()).substring("candle".length())).number("start", m.start())
            .decimal("open", m.open(), m.flags().openNegativeZero()).decimal("high", m.high(), m.flags().highNegativeZero())
            .decimal("low", m.low(), m.flags().lowNegativeZero()).decimal("close", m.closePrice(), m.flags().closePriceNegativeZero())
            .decimal("volume", m.volume(), m.flags().volumeNegativeZero()).number("trades", m.trades())
            .yes("closed", m.closed()).yes("revised", m.revised()).yes("complete", m.complete());
        out.println(head.bare("data", "[" + row + "]"));
        return m.limit();
    }

    private int instrument(InstrumentDecoder m) {
        Row head = head("instrument", m.flags().snapshot(), m.topic()).number("seq", m.seq()).number("ts_event", m.tsEvent())
            .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped());
        Row row = new Row().decimal("tick", m.tick(), m.flags().tickNegativeZero())
            .decimal("lot", m.lot(), m.flags().lotNegativeZero()).pause("price_digits", m.priceDigits())
            .pause("qty_digits", m.qtyDigits()).text("bbo", name(m.bbo())).number("delay_s", m.delayS())
            .text("status", m.status()).text("base", m.baseAsset()).text("quote", m.quoteAsset()).text("venue_symbol", m.venueSymbol());
        out.println(head.bare("data", "[" + row + "]"));
        return m.limit();
    }

    private int status(StatusDecoder m) {
        Row head = head("status", m.flags().snapshot(), m.topic()).number("seq", m.seq()).number("ts_event", m.tsEvent())
            .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped());
        Row row = new Row().text("status", m.status()).text("reason", m.reason());
        out.println(head.bare("data", "[" + row + "]"));
        return m.limit();
    }

    private int conflation(ConflationDecoder m) {
        StringBuilder rows = new StringBuilder();
        for (ConflationDecoder.ClassesDecoder one : m.classes()) {
            if (rows.length() > 0) rows.append(',');
            rows.append(new Row().number("class", one.classNumber()).number("step", one.step())
                .pause("interval_ms", one.intervalMs()).pause("was_ms", one.wasMs()));
        }
        out.println("{\"channel\":\"system\",\"type\":\"conflation\",\"data\":[" + rows + "]}");
        return m.limit();
    }

    private Row head(String channel, boolean snapshot, long topic) {
        records++;
        if (!topics.containsKey(topic)) throw new IllegalStateException("topic " + topic + " was not announced");
        return new Row().text("channel", channel).text("type", snapshot ? "snapshot" : "update")
            .text("symbol", topics.get(topic));
    }

    private void notice(String type, Row row) {
        out.println(new Row().text("channel", "system").text("type", type).bare("data", "[" + row + "]"));
    }

    private static String name(Enum<?> value) {
        return value.name().equals("SBE_UNKNOWN") || value.name().equals("NULL_VAL") ? "unknown" : value.name();
    }

    /** An object of JSON. */
    private static final class Row {
        private final StringBuilder members = new StringBuilder();

        Row bare(String name, String value) {
            members.append(members.length() > 0 ? "," : "").append('"').append(name).append("\":").append(value);
            return this;
        }

        Row text(String name, String value) {
            return bare(name, '"' + value.replace("\\", "\\\\").replace("\"", "\\\"") + '"');
        }

        Row yes(String name, YesNo value) {
            return bare(name, value == YesNo.yes ? "true" : "false");
        }

        /** Candles of each interval are a channel of the schema. */
        Row channel(String name) {
            String candle = "candle";
            if (!name.startsWith(candle)) return text("channel", name);
            return text("channel", candle).text("interval", name.substring(candle.length()));
        }

        Row number(String name, long value) {
            return bare(name, Long.toString(value));
        }

        /** All counts have the same null. */
        Row optional(String name, long value) {
            return value == GapDecoder.lostNullValue() ? this : number(name, value);
        }

        Row pause(String name, long value) {
            return value == ConflationDecoder.ClassesDecoder.wasMsNullValue() ? bare(name, "null") : number(name, value);
        }

        Row decimal(String name, DecimalDecoder value, boolean negativeZero) {
            if (value.exponent() == DecimalDecoder.exponentNullValue()) return bare(name, "null");
            String digits = new BigDecimal(wide(value.low(), value.high()), -value.exponent()).toPlainString();
            return text(name, negativeZero ? '-' + digits : digits);
        }

        @Override
        public String toString() {
            return '{' + members.toString() + '}';
        }
    }
}
