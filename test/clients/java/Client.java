import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.AliasMessage;
import com.segment.analytics.messages.GroupMessage;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.MessageBuilder;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.ScreenMessage;
import com.segment.analytics.messages.TrackMessage;
import java.time.Instant;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Makes the calls that every client makes: Client HOST WRITE_KEY COUNT. */
public final class Client {
  private static final Instant START = Instant.parse("2026-03-01T09:00:00Z");

  public static void main(String[] args) throws InterruptedException {
    int count = Integer.parseInt(args[2]);
    CountDownLatch pending = new CountDownLatch(count * 6);
    AtomicInteger failures = new AtomicInteger();
    String host = args[0];
    String writeKey = args[1];
    // snippet
    Analytics.Builder builder = Analytics.builder(writeKey).endpoint(host);
    // end
    // A batch that failed waits 15 s and more in its thread; with one thread, the default, these waits would add up.
    Analytics analytics =
        builder
            .flushQueueSize(20)
            .networkExecutor(Executors.newFixedThreadPool(16))
            .callback(counting(pending, failures))
            .build();
    for (int n = 0; n < count; n++) {
      for (MessageBuilder<?, ?> message : calls(n)) analytics.enqueue(message);
    }
    analytics.flush();
    boolean isComplete = pending.await(110, TimeUnit.SECONDS);
    analytics.shutdown();
    if (!isComplete || failures.get() > 0) {
      System.err.println(failures.get() + " failed, " + pending.getCount() + " without an answer");
      System.exit(1);
    }
    System.exit(0);
  }

  private static List<MessageBuilder<?, ?>> calls(int n) {
    String user = "user-" + n;
    Date at = Date.from(START.plusSeconds(n));
    Map<String, Object> number = Map.of("n", n);
    Map<String, Object> order =
        Map.of(
            "n", n,
            "total", n + 0.25,
            "big", 9007199254740991L,
            "name", "Zoë ☕",
            "orderedAt", at,
            "address", Map.of("city", "東京", "lines", List.of("1", "2")),
            "products", List.of(Map.of("sku", "sku-" + n, "quantity", 2)));
    return List.of(
        IdentifyMessage.builder().userId(user).timestamp(at).traits(Map.of("n", n, "name", "Zoë ☕", "plan", "pro")),
        TrackMessage.builder("Order Completed").userId(user).timestamp(at).properties(order),
        PageMessage.builder("Home").userId(user).timestamp(at).properties(number),
        ScreenMessage.builder("Home").userId(user).timestamp(at).properties(number),
        GroupMessage.builder("group-" + n).userId(user).timestamp(at).traits(number),
        AliasMessage.builder("anonymous-" + n).userId(user).timestamp(at));
  }

  private static Callback counting(CountDownLatch pending, AtomicInteger failures) {
    return new Callback() {
      @Override
      public void success(Message message) {
        pending.countDown();
      }

      @Override
      public void failure(Message message, Throwable problem) {
        failures.incrementAndGet();
        pending.countDown();
      }
    };
  }
}
