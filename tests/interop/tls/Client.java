// A client of java.net.http: URL, number of trades and the authorities' file as arguments; one line of JSON at the end.
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public final class Client implements WebSocket.Listener {
    private static final Pattern TRADE = Pattern.compile("\"channel\":\"trade\",.*\"symbol\":\"A\\.SIM\",\"seq\":(\\d+)");

    private final int count;
    private final List<String> seqs = new ArrayList<>();
    private final StringBuilder text = new StringBuilder();
    private final CompletableFuture<Integer> closed = new CompletableFuture<>();

    private Client(int count) {
        this.count = count;
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
        text.append(part);
        if (last) {
            Matcher trade = TRADE.matcher(text);
            if (trade.find() && seqs.size() < count) {
                seqs.add(trade.group(1));
                if (seqs.size() == count) socket.sendClose(WebSocket.NORMAL_CLOSURE, "enough");
            }
            text.setLength(0);
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

    /** Trusts these authorities alone. */
    private static SSLContext trusting(Path authorities) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream in = Files.newInputStream(authorities)) {
            int n = 0;
            for (var one : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                store.setCertificateEntry("ca" + n++, one);
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    public static void main(String[] words) throws Exception {
        Client client = new Client(Integer.parseInt(words[1]));
        HttpClient http = HttpClient.newBuilder().sslContext(trusting(Path.of(words[2]))).build();
        try {
            WebSocket socket = http.newWebSocketBuilder().subprotocols("tickgate.v1.json")
                .buildAsync(URI.create(words[0]), client).get(30, TimeUnit.SECONDS);
            socket.sendText("{\"method\":\"subscribe\",\"req_id\":1,\"params\":"
                + "{\"channel\":\"trade\",\"symbol\":[\"*.SIM\"]}}", true);
            int code = client.closed.get(60, TimeUnit.SECONDS);
            System.out.println("{\"seqs\":[" + String.join(",", client.seqs) + "],\"code\":" + code + "}");
        } catch (Exception error) {
            Throwable cause = error;
            while (cause.getCause() != null) cause = cause.getCause();
            System.out.println("{\"error\":\"" + cause.toString().replace('"', '\'') + "\"}");
        }
        System.exit(0); // its selector's thread would stay
    }
}
