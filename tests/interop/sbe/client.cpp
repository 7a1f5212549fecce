// Subscribes at ws://HOST:PORT/PATH and prints each binary message as the JSON that it stands for, until the server
// closes; or, given a number, to quotes too, and until so many records came.
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tickgate_sbe/AuthExpiring.h"
#include "tickgate_sbe/Bbo.h"
#include "tickgate_sbe/Book.h"
#include "tickgate_sbe/Candle.h"
#include "tickgate_sbe/Conflation.h"
#include "tickgate_sbe/Epoch.h"
#include "tickgate_sbe/Gap.h"
#include "tickgate_sbe/Heartbeat.h"
#include "tickgate_sbe/LimitExceeded.h"
#include "tickgate_sbe/ReplayCompleted.h"
#include "tickgate_sbe/Retired.h"
#include "tickgate_sbe/Shutdown.h"
#include "tickgate_sbe/Slow.h"
#include "tickgate_sbe/Instrument.h"
#include "tickgate_sbe/Status.h"
#include "tickgate_sbe/Topic.h"
#include "tickgate_sbe/Trade.h"
#include "tickgate_sbe/YesNo.h"

namespace sbe = tickgate::sbe;

__extension__ typedef unsigned __int128 Wide;

// A number in plain digits.
static std::string plain(bool negative, Wide mantissa, int exponent) {
    std::string digits;
    for (; mantissa != 0; mantissa /= 10) digits += static_cast<char>('0' + static_cast<int>(mantissa % 10));
    bool zero = digits.empty();
    std::size_t fraction = exponent < 0 ? static_cast<std::size_t>(-exponent) : 0;
    while (digits.size() <= fraction) digits += '0';
    std::reverse(digits.begin(), digits.end());
    if (fraction != 0) digits.insert(digits.size() - fraction, ".");
    else if (!zero) digits.append(static_cast<std::size_t>(exponent), '0');
    return (negative ? "-" : "") + digits;
}

// An object of JSON.
class Row {
public:
    Row &bare(const std::string &name, const std::string &value) {
        members += (members.empty() ? "\"" : ",\"") + name + "\":" + value;
        return *this;
    }
    Row &text(const std::string &name, const std::string &value) {
        std::string escaped;
        for (char one : value) {
            if (one == '"' || one == '\\') escaped += '\\';
            escaped += one;
        }
        return bare(name, '"' + escaped + '"');
    }
    Row &yes(const std::string &name, sbe::YesNo::Value value) {
        return bare(name, value == sbe::YesNo::yes ? "true" : "false");
    }
    Row &channel(const std::string &name) { // candles of each interval are a channel of the schema
        const std::string candle = "candle";
        if (name.compare(0, candle.size(), candle) != 0) return text("channel", name);
        return text("channel", candle).text("interval", name.substr(candle.size()));
    }
    template <typename Number> Row &number(const std::string &name, Number value) {
        return bare(name, std::to_string(value));
    }
    Row &optional(const std::string &name, std::uint64_t value) { // all counts have the same null
        return value == sbe::Gap::lostNullValue() ? *this : number(name, value);
    }
    Row &pause(const std::string &name, std::uint32_t value) {
        return value == sbe::Conflation::Classes::wasMsNullValue() ? bare(name, "null") : number(name, value);
    }
    Row &decimal(const std::string &name, sbe::Decimal &value, bool negative_zero) {
        if (value.exponent() == sbe::Decimal::exponentNullValue()) return bare(name, "null");
        bool negative = value.high() < 0;
        auto mantissa = static_cast<Wide>(static_cast<std::uint64_t>(value.high())) << 64 | value.low();
        if (negative) mantissa = 0 - mantissa;
        return text(name, plain(negative || negative_zero, mantissa, value.exponent()));
    }
    std::string str() const { return '{' + members + '}'; }

private:
    std::string members;
};

// An enum's name. A value of a later version has that of null.
template <typename Enum> std::string name(typename Enum::Value value) {
    std::string text = Enum::c_str(value);
    return text == "NULL_VALUE" || text == "SBE_UNKNOWN" ? "unknown" : text;
}

static std::map<std::uint32_t, std::string> topics, channels;
static unsigned long records;

static void print(const std::string &line) { std::cout << line << std::endl; }

static void notice(const char *type, const Row &row) {
    print(Row().text("channel", "system").text("type", type).bare("data", '[' + row.str() + ']').str());
}

template <typename Record> Row head(Record &m, const char *channel) {
    auto found = topics.find(m.topic());
    if (found == topics.end()) throw std::runtime_error("a topic that was not announced");
    records++;
    return Row().text("channel", channel).text("type", m.flags().snapshot() ? "snapshot" : "update")
        .text("symbol", found->second).number("seq", m.seq()).number("ts_event", m.tsEvent())
        .number("ts_recv", m.tsRecv()).number("ts_send", m.tsSend()).number("skipped", m.skipped());
}

static void show(sbe::Topic &m) {
    auto number = m.number();
    channels[number] = name<sbe::Channel>(m.channel());
    topics[number] = m.getSymbolAsString();
}

static void show(sbe::Trade &m) {
    Row row;
    row.decimal("price", m.price(), m.flags().priceNegativeZero()).decimal("qty", m.qty(), m.flags().qtyNegativeZero());
    if (m.side() == sbe::Side::NULL_VALUE) row.bare("side", "null");
    else row.text("side", name<sbe::Side>(m.side()));
    row.text("id", m.getTradeIdAsString());
    print(head(m, "trade").bare("data", '[' + row.str() + ']').str());
}

static void show(sbe::Bbo &m) {
    Row row;
    row.decimal("bid", m.bid(), m.flags().bidNegativeZero()).decimal("bid_qty", m.bidQty(), m.flags().bidQtyNegativeZero())
        .decimal("ask", m.ask(), m.flags().askNegativeZero()).decimal("ask_qty", m.askQty(), m.flags().askQtyNegativeZero());
    print(head(m, "bbo").bare("data", '[' + row.str() + ']').str());
}

struct Level {
    std::string price;
    std::int64_t qty;
    int exponent;
};

template <typename Side> std::vector<Level> levels(Side &side) {
    std::vector<Level> found;
    side.forEach([&found](Side &one) {
        bool negative = one.price() < 0;
        auto price = static_cast<std::uint64_t>(one.price());
        found.push_back({plain(negative, negative ? 0 - price : price, one.priceExponent()), one.qty(), one.qtyExponent()});
    });
    return found;
}

// Quantities that do not fit their level are taken from the front of `wides`.
static std::string array(const std::vector<Level> &levels, std::vector<Wide> &wides) {
    std::string rows;
    for (const Level &one : levels) {
        auto qty = static_cast<Wide>(static_cast<std::uint64_t>(one.qty));
        if (one.qty == sbe::Book::Bids::qtyNullValue()) {
            qty = wides.at(0);
            wides.erase(wides.begin());
        }
        rows += (rows.empty() ? "[\"" : ",[\"") + one.price + "\",\"" + (qty == 0 ? "0" : plain(false, qty, one.exponent)) + "\"]";
    }
    return '[' + rows + ']';
}

static void show(sbe::Book &m) {
    Row first = head(m, "book"), row;
    std::string part = "null";
    if (m.parts() != 0) part = '[' + std::to_string(m.part()) + ',' + std::to_string(m.parts()) + ']';
    if (m.depth() != 0) row.number("depth", m.depth());
    if (m.flags().maybeBad()) row.bare("maybe_bad", "true");
    if (m.flags().hasChecksum()) row.number("checksum", m.checksum());
    auto bids = levels(m.bids()), asks = levels(m.asks()); // groups, then texts, are read in their order
    std::vector<Wide> wides;
    m.wideQtys().forEach([&wides](sbe::Book::WideQtys &one) {
        wides.push_back(static_cast<Wide>(static_cast<std::uint64_t>(one.high())) << 64 | one.low());
    });
    row.bare("bids", array(bids, wides)).bare("asks", array(asks, wides));
    std::string id = m.getFirstIdAsString();
    if (!id.empty()) row.text("first_id", id);
    id = m.getLastIdAsString();
    if (!id.empty()) row.text("last_id", id);
    print(first.bare("part", part).bare("data", '[' + row.str() + ']').str());
}

static void show(sbe::Candle &m) {
    Row row;
    auto topic = m.topic();
    row.text("interval", channels[topic].substr(6)).number("start", m.start())
        .decimal("open", m.open(), m.flags().openNegativeZero()).decimal("high", m.high(), m.flags().highNegativeZero())
        .decimal("low", m.low(), m.flags().lowNegativeZero()).decimal("close", m.closePrice(), m.flags().closePriceNegativeZero())
        .decimal("volume", m.volume(), m.flags().volumeNegativeZero()).number("trades", m.trades())
        .yes("closed", m.closed()).yes("revised", m.revised()).yes("complete", m.complete());
    print(head(m, "candle").bare("data", '[' + row.str() + ']').str());
}

static void show(sbe::Instrument &m) {
    Row first = head(m, "instrument"), row;
    row.pause("price_digits", m.priceDigits()).pause("qty_digits", m.qtyDigits()).number("delay_s", m.delayS())
        .text("bbo", name<sbe::QuoteSource>(m.bbo())).decimal("tick", m.tick(), m.flags().tickNegativeZero())
        .decimal("lot", m.lot(), m.flags().lotNegativeZero());
    row.text("status", m.getStatusAsString()); // texts are read in their order
    row.text("base", m.getBaseAssetAsString());
    row.text("quote", m.getQuoteAssetAsString());
    row.text("venue_symbol", m.getVenueSymbolAsString());
    print(first.bare("data", '[' + row.str() + ']').str());
}

static void show(sbe::Status &m) {
    Row first = head(m, "status"), row;
    row.text("status", m.getStatusAsString()); // texts are read in their order
    row.text("reason", m.getReasonAsString());
    print(first.bare("data", '[' + row.str() + ']').str());
}

static void show(sbe::Heartbeat &m) {
    print(Row().text("channel", "heartbeat").number("n", m.n()).number("ts_send", m.tsSend()).str());
}

static void show(sbe::Gap &m) {
    Row row;
    row.channel(name<sbe::Channel>(m.channel())).optional("from", m.fromSeq()).optional("to", m.toSeq())
        .optional("lost", m.lost()).text("reason", name<sbe::GapReason>(m.reason()));
    notice("gap", row.text("symbol", m.getSymbolAsString()));
}

static void show(sbe::Epoch &m) {
    Row row;
    row.text("epoch", m.getEpochAsString());
    std::string venue = m.getVenueAsString();
    if (!venue.empty()) row.text("venue", venue);
    if (m.continues() != sbe::YesNo::NULL_VALUE) row.bare("continues", m.continues() == sbe::YesNo::yes ? "true" : "false");
    notice("epoch", row);
}

static void show(sbe::Retired &m) {
    notice("retired", Row().channel(name<sbe::Channel>(m.channel())).text("symbol", m.getSymbolAsString()));
}

static void show(sbe::ReplayCompleted &m) {
    Row row;
    row.channel(name<sbe::Channel>(m.channel())).optional("from", m.fromSeq()).optional("to", m.toSeq());
    notice("replay_completed", row.text("symbol", m.getSymbolAsString()));
}

static void show(sbe::Slow &m) {
    notice("slow", Row().number("level", m.level()).number("was", m.was()).text("action", name<sbe::SlowAction>(m.action()))
        .number("interval_ms", m.intervalMs()).number("age_ms", m.ageMs()));
}

static void show(sbe::Conflation &m) {
    std::string rows;
    m.classes().forEach([&rows](sbe::Conflation::Classes &one) {
        if (!rows.empty()) rows += ',';
        rows += Row().number("class", one.classNumber()).number("step", one.step()).pause("interval_ms", one.intervalMs())
            .pause("was_ms", one.wasMs()).str();
    });
    print("{\"channel\":\"system\",\"type\":\"conflation\",\"data\":[" + rows + "]}");
}

static void show(sbe::LimitExceeded &m) {
    Row row;
    row.number("value", m.value()).optional("refused", m.refused()).text("limit", m.getLimitNameAsString());
    std::string subscription = m.getSubscriptionAsString();
    if (!subscription.empty()) row.text("subscription", subscription);
    notice("limit_exceeded", row);
}

static void show(sbe::AuthExpiring &m) { notice("auth_expiring", Row().number("expires_at", m.expiresAt())); }
static void show(sbe::Shutdown &m) { notice("shutdown", Row().number("reconnect_after_ms", m.reconnectAfterMs())); }

template <typename Message> std::size_t read(std::string &frame, std::size_t at, sbe::MessageHeader &header) {
    Message m;
    m.wrapForDecode(frame.data(), at, header.blockLength(), header.version(), frame.size());
    show(m);
    return m.sbePosition();
}

// Where the next message begins; the frame's end after one of an unknown template, which is a frame's last.
static std::size_t message(std::string &frame, std::size_t at) {
    sbe::MessageHeader header(frame.data(), at, frame.size(), sbe::MessageHeader::sbeSchemaVersion());
    if (header.schemaId() != sbe::MessageHeader::sbeSchemaId()) throw std::runtime_error("another schema");
    at += sbe::MessageHeader::encodedLength();
    switch (header.templateId()) {
    case sbe::Topic::SBE_TEMPLATE_ID: return read<sbe::Topic>(frame, at, header);
    case sbe::Trade::SBE_TEMPLATE_ID: return read<sbe::Trade>(frame, at, header);
    case sbe::Bbo::SBE_TEMPLATE_ID: return read<sbe::Bbo>(frame, at, header);
    case sbe::Book::SBE_TEMPLATE_ID: return read<sbe::Book>(frame, at, header);
    case sbe::Candle::SBE_TEMPLATE_ID: return read<sbe::Candle>(frame, at, header);
    case sbe::Instrument::SBE_TEMPLATE_ID: return read<sbe::Instrument>(frame, at, header);
    case sbe::Status::SBE_TEMPLATE_ID: return read<sbe::Status>(frame, at, header);
    case sbe::Heartbeat::SBE_TEMPLATE_ID: return read<sbe::Heartbeat>(frame, at, header);
    case sbe::Gap::SBE_TEMPLATE_ID: return read<sbe::Gap>(frame, at, header);
    case sbe::Epoch::SBE_TEMPLATE_ID: return read<sbe::Epoch>(frame, at, header);
    case sbe::Retired::SBE_TEMPLATE_ID: return read<sbe::Retired>(frame, at, header);
    case sbe::ReplayCompleted::SBE_TEMPLATE_ID: return read<sbe::ReplayCompleted>(frame, at, header);
    case sbe::Slow::SBE_TEMPLATE_ID: return read<sbe::Slow>(frame, at, header);
    case sbe::Conflation::SBE_TEMPLATE_ID: return read<sbe::Conflation>(frame, at, header);
    case sbe::LimitExceeded::SBE_TEMPLATE_ID: return read<sbe::LimitExceeded>(frame, at, header);
    case sbe::AuthExpiring::SBE_TEMPLATE_ID: return read<sbe::AuthExpiring>(frame, at, header);
    case sbe::Shutdown::SBE_TEMPLATE_ID: return read<sbe::Shutdown>(frame, at, header);
    default: return frame.size();
    }
}

// --- as much of RFC 6455 as a client of a well-behaved server needs ---------------------------------------------

class Socket {
public:
    explicit Socket(const std::string &url) {
        auto begin = url.find("//") + 2, slash = url.find('/', begin), colon = url.rfind(':', slash);
        std::string host = url.substr(begin, colon - begin), port = url.substr(colon + 1, slash - colon - 1);
        addrinfo hints{}, *found = nullptr;
        hints.ai_socktype = SOCK_STREAM;
        if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) throw std::runtime_error("no such host");
        fd = socket(found->ai_family, found->ai_socktype, 0);
        int error = connect(fd, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        if (error != 0) throw std::runtime_error("no connection");
        raw("GET " + url.substr(slash) + " HTTP/1.1\r\nHost: " + host + ":" + port +
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tickgate.v1.sbe\r\n\r\n");
        std::string reply;
        while (reply.find("\r\n\r\n") == std::string::npos) reply += take(1);
        if (reply.compare(0, 12, "HTTP/1.1 101") != 0 || reply.find("tickgate.v1.sbe") == std::string::npos)
            throw std::runtime_error("refused: " + reply);
    }

    void send(unsigned opcode, const std::string &payload) { // up to 125 bytes; masked with zeros
        raw(std::string{static_cast<char>(0x80 | opcode), static_cast<char>(0x80 | payload.size())} +
            std::string(4, '\0') + payload);
    }

    // The next message's opcode and payload.
    unsigned receive(std::string &payload) {
        unsigned opcode = 0;
        payload.clear();
        for (bool last = false; !last;) {
            std::string head = take(2);
            last = (head[0] & 0x80) != 0;
            if ((head[0] & 15) != 0) opcode = static_cast<unsigned>(head[0] & 15);
            std::uint64_t size = static_cast<std::uint64_t>(head[1] & 127);
            if (size >= 126) {
                std::string wide = take(size == 126 ? 2 : 8);
                size = 0;
                for (char one : wide) size = size << 8 | static_cast<unsigned char>(one);
            }
            payload += take(size);
        }
        return opcode;
    }

private:
    void raw(const std::string &bytes) {
        if (write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
            throw std::runtime_error("cannot send");
    }
    std::string take(std::size_t size) {
        std::string bytes(size, '\0');
        for (std::size_t n = 0; n < size;) {
            ssize_t got = recv(fd, &bytes[n], size - n, 0);
            if (got <= 0) throw std::runtime_error("the connection ended");
            n += static_cast<std::size_t>(got);
        }
        return bytes;
    }
    int fd;
};

int main(int count, char **arguments) {
    unsigned long wanted = count > 2 ? std::stoul(arguments[2]) : 0;
    Socket server(arguments[1]);
    server.send(1, R"({"method":"subscribe","req_id":1,"params":{"channel":"trade","symbol":["*"]}})");
    if (wanted != 0)
        server.send(1, R"({"method":"subscribe","req_id":1,"params":{"channel":"bbo","symbol":["*"],"mode":"lossless"}})");
    std::string payload;
    while (wanted == 0 || records < wanted) {
        unsigned opcode = server.receive(payload);
        if (opcode == 8) {
            server.send(8, payload.substr(0, 2));
            return payload.substr(0, 2) == "\x03\xe8" ? 0 : 1;
        }
        if (opcode == 9) server.send(10, payload);
        for (std::size_t at = 0; opcode == 2 && at < payload.size();) at = message(payload, at);
    }
    server.send(8, "\x03\xe8");
}
