// Makes the calls that every client makes: Client HOST WRITE_KEY COUNT, with a host without a scheme.
import com.segment.analytics.kotlin.core.AliasEvent
import com.segment.analytics.kotlin.core.Analytics
import com.segment.analytics.kotlin.core.BaseEvent
import com.segment.analytics.kotlin.core.Telemetry
import com.segment.analytics.kotlin.core.utilities.InMemoryStorageProvider
import java.time.Instant
import kotlin.system.exitProcess
import kotlinx.serialization.json.add
import kotlinx.serialization.json.addJsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray
import kotlinx.serialization.json.putJsonObject

private val start: Instant = Instant.parse("2026-03-01T09:00:00Z")

fun main(arguments: Array<String>) {
    val (host, writeKey, count) = arguments
    // snippet
    val analytics = Analytics(writeKey) {
        application = "client"
        apiHost = "$host/v1"
        cdnHost = "$host/v1"
        flushAt = 20
        storageProvider = InMemoryStorageProvider()
    }
    Telemetry.host = "$host/v1"
    // end
    repeat(count.toInt()) { n -> makeCalls(analytics, n) }
    val isSent = flushAll(analytics)
    analytics.shutdown()
    exitProcess(if (isSent) 0 else 1)
}

private fun makeCalls(analytics: Analytics, n: Int) {
    val at = start.plusSeconds(n.toLong()).toString()
    // The library takes up another user a moment after the call; an app has one user, and this program many in no time.
    val own = { event: BaseEvent? ->
        event?.apply {
            timestamp = at
            userId = "user-$n"
            if (this is AliasEvent) previousId = "anonymous-$n"
        }
    }
    val number = buildJsonObject { put("n", n) }
    val traits = buildJsonObject {
        put("n", n)
        put("name", "Zoë ☕")
        put("plan", "pro")
    }
    val order = buildJsonObject {
        put("n", n)
        put("total", n + 0.25)
        put("big", 9007199254740991)
        put("name", "Zoë ☕")
        put("orderedAt", at)
        putJsonObject("address") {
            put("city", "東京")
            putJsonArray("lines") {
                add("1")
                add("2")
            }
        }
        putJsonArray("products") {
            addJsonObject {
                put("sku", "sku-$n")
                put("quantity", 2)
            }
        }
    }
    analytics.identify("user-$n", traits, own)
    analytics.track("Order Completed", order, own)
    analytics.screen("Home", number, enrichment = own)
    analytics.group("group-$n", number, own)
    analytics.alias("user-$n", own)
}

/** The library sends a batch that failed again at the next flush; an app lives on, this program has to ask. */
private fun flushAll(analytics: Analytics): Boolean {
    repeat(60) {
        analytics.flush()
        Thread.sleep(500)
        if (analytics.pendingUploads().isEmpty()) return true
    }
    return false
}
