/** Keeps what was used most recently, up to a number of bytes. Whoever asks while a value is being made waits for that one. */
export interface RecentBytes {
  take(name: string, make: () => Promise<Buffer>): Promise<Buffer>
  /** Bytes kept now. */
  readonly byteCount: number
}

export function createRecentBytes(bytesMax: number): RecentBytes {
  // A Map keeps the order of insertion, so the first entry is the one that was not used for the longest time.
  const kept = new Map<string, Buffer>()
  const making = new Map<string, Promise<Buffer>>()
  let byteCount = 0

  function keep(name: string, bytes: Buffer): void {
    kept.set(name, bytes)
    byteCount += bytes.byteLength
    for (const [oldest, { byteLength }] of kept) {
      if (byteCount <= bytesMax) break
      kept.delete(oldest)
      byteCount -= byteLength
    }
  }

  async function makeOnce(name: string, make: () => Promise<Buffer>): Promise<Buffer> {
    try {
      const bytes = await make()
      keep(name, bytes)
      return bytes
    } finally {
      making.delete(name)
    }
  }

  return {
    get byteCount() {
      return byteCount
    },
    take(name, make) {
      const found = kept.get(name)
      if (found !== undefined) {
        kept.delete(name)
        kept.set(name, found)
        return Promise.resolve(found)
      }
      const underWay = making.get(name) ?? makeOnce(name, make)
      // `makeOnce` runs to its first wait before it returns, and removes the entry after that at the earliest.
      making.set(name, underWay)
      return underWay
    },
  }
}
