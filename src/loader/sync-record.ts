/** One run, as the sync history shows it. */
export interface SyncRecord {
  id: string
  startedAt: string
  durationMs: number
  /** Rows really added or changed, per `schema.table`. */
  rows: Record<string, number>
  /** `table: reason` -> how many values. */
  notices: Record<string, number>
  status: 'success' | 'partial' | 'failure'
  error?: string
}
