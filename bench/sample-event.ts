/** The event that all benchmarks send: about 0.9 KB, a `track` with ten products, as in the figures of the design. */
export function sampleEvent(index: number): Record<string, unknown> {
  return {
    type: 'track',
    messageId: `bench-${index}`,
    userId: `user-${index % 10_000}`,
    event: 'Order Completed',
    timestamp: '2026-03-01T09:00:00.000Z',
    context: { library: { name: 'bench', version: '1.0.0' }, locale: 'en-GB' },
    properties: {
      order_id: `order-${index}`,
      revenue: 99.5,
      currency: 'EUR',
      products: Array.from({ length: 10 }, (_, i) => ({
        product_id: `p-${i}`,
        sku: `SKU-${i}`,
        name: `Thing ${i}`,
        price: 9.95,
        qty: 1,
      })),
    },
  }
}
