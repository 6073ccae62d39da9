/**
 * Which assertions were used, until they would have expired anyway, so that one that was overheard gets no second token. Kept for each
 * app apart: one that asks without end must not shut the others out. Of this process: another one, or the next after a restart, takes
 * the same assertion once more in the minutes that it is good.
 */

export interface UsedIds {
  /** `full`: as many ids of the app are remembered as may be, and none has expired. Times in seconds. */
  use(app: string, id: string, expiresAt: number, nowSeconds: number): 'new' | 'used' | 'full'
}

/** Of one app. An SDK asks once for half the life of its token, so this is for a fleet that starts at the same moment. */
const IDS_MAX = 10_000

export function createUsedIds(idsMax = IDS_MAX): UsedIds {
  // App -> id -> when it expires. As many apps as ever signed an assertion in this process.
  const byApp = new Map<string, Map<string, number>>()
  return {
    use(app, id, expiresAt, nowSeconds) {
      const ids = byApp.get(app) ?? new Map<string, number>()
      byApp.set(app, ids)
      if ((ids.get(id) ?? 0) > nowSeconds) return 'used'
      if (ids.size >= idsMax) for (const [each, end] of ids) if (end <= nowSeconds) ids.delete(each)
      if (ids.size >= idsMax) return 'full'
      ids.set(id, expiresAt)
      return 'new'
    },
  }
}
