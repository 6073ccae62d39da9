const startMs = Date.parse('2026-03-01T09:00:00.000Z')

/** The calls of every client, for the Node SDKs. */
export function makeCalls(analytics, count, userIdOf) {
  for (let n = 0; n < count; n += 1) {
    const userId = userIdOf(n)
    const timestamp = new Date(startMs + n * 1000)
    analytics.identify({ userId, timestamp, traits: { n, name: 'Zoë ☕', plan: 'pro' } })
    analytics.track({
      userId,
      timestamp,
      event: 'Order Completed',
      properties: {
        n,
        total: n + 0.25,
        big: Number.MAX_SAFE_INTEGER,
        name: 'Zoë ☕',
        orderedAt: timestamp,
        address: { city: '東京', lines: ['1', '2'] },
        products: [{ sku: `sku-${n}`, quantity: 2 }],
      },
    })
    analytics.page({ userId, timestamp, name: 'Home', properties: { n } })
    analytics.screen({ userId, timestamp, name: 'Home', properties: { n } })
    analytics.group({ userId, timestamp, groupId: `group-${n}`, traits: { n } })
    analytics.alias({ userId, timestamp, previousId: `anonymous-${n}` })
  }
}
