/** What a sync has to say about values that did not go where they would have gone: counted by table and reason. */
export type Notices = Map<string, number>

/** More kinds of notices than this are counted as one. */
const NOTICES_MAX = 200

export function noticeOf(notices: Notices, table: string, reason: string, count = 1): void {
  const key = `${table}: ${reason}`
  const known = notices.get(key)
  if (known !== undefined) notices.set(key, known + count)
  else if (notices.size < NOTICES_MAX) notices.set(key, count)
  else notices.set('others', (notices.get('others') ?? 0) + count)
}
