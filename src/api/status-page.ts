/** The plain status page that the sign-in link opens. */
import type { Snapshot } from '../snapshot/index.ts'
import { sum, type ConnectionBySlug, type Status } from './status.ts'

const REFRESH_SECONDS = 5

export function renderStatus(snapshot: Snapshot, status: Status, nowMs: number): string {
  const workspace = snapshot.workspaces[0]
  const away = Object.keys(status.processes).filter((role) => status.processes[role] === false)
  return page(
    `${workspace?.name ?? 'Tributary'} – Tributary`,
    `<meta http-equiv="refresh" content="${REFRESH_SECONDS}">`,
    `<header><h1>${text(workspace?.name ?? 'Tributary')}</h1><p class="quiet">${new Date(nowMs).toISOString().slice(0, 19).replace('T', ' ')} UTC, renewed every ${REFRESH_SECONDS} s</p></header>
    ${away.length === 0 ? '' : `<p class="alert" role="alert">Not answering: ${text(away.join(', '))}. It restarts by itself.</p>`}
    <section><h2>Sources</h2>${sourcesTable(status)}</section>
    <section><h2>Connections</h2>${connectionsTable(status)}</section>
    <section><h2>Disk</h2>${disk(status)}</section>
    <footer class="quiet">What happened to one message: <code>npx tributary trace MESSAGE_ID</code></footer>`,
  )
}

export function renderSignedOut(reason: string): string {
  return page(
    'Sign in – Tributary',
    '',
    `<header><h1>Tributary</h1></header><p>${text(reason)}</p>
     <p>Get a fresh link on the machine that runs it: <code>npx tributary sign-in-link</code></p>`,
  )
}

function sourcesTable(status: Status): string {
  const rows = Object.entries(status.sources).map(
    ([slug, counts]) =>
      `<tr><th scope="row">${text(slug)}</th>${number(counts.received)}${number(counts.processed)}${number(counts.duplicate)}${codes(counts.rejected)}${codes(counts.dropped)}${number(counts.waiting)}</tr>`,
  )
  if (rows.length === 0)
    return '<p class="quiet">No sources yet. Name one in tributary.yaml and run <code>npx tributary apply tributary.yaml</code>.</p>'
  return table(['Source', 'Received', 'Processed', 'Duplicate', 'Rejected', 'Dropped', 'Waiting'], rows)
}

function connectionsTable(status: Status): string {
  const rows = status.connections.map((each) => {
    const name = `<th scope="row">${text(each.source)} → ${text(nameOf(each))}</th>`
    if (each.mode === 'device') return `<tr>${name}<td colspan="6" class="quiet">runs in web pages</td></tr>`
    return (
      `<tr>${name}${number(each.delivered)}${codes(each.dropped)}${codes(each.discarded)}${number(each.deadLetters)}${number(each.waiting)}<td class="number">${each.waiting === 0 ? '' : `${Math.round(each.oldestWaitingSeconds)} s`}</td></tr>` +
      (each.lastError === undefined ? '' : `<tr><td colspan="7" class="alert">${text(each.lastError)}</td></tr>`)
    )
  })
  if (rows.length === 0) return '<p class="quiet">No destinations or warehouses yet.</p>'
  return table(['Connection', 'Delivered', 'Dropped', 'Discarded', 'Dead letters', 'Waiting', 'Oldest'], rows)
}

function nameOf(each: ConnectionBySlug): string {
  return 'destination' in each ? each.destination : `${each.warehouse} (warehouse)`
}

function disk({ disk: usage }: Status): string {
  const parts = Object.entries(usage.parts).filter(([, bytes]) => bytes > 0)
  const days =
    usage.daysLeft === null ? 'growth is known after an hour' : `${usage.daysLeft} days left at today's growth`
  return `<p>${parts.map(([part, bytes]) => `${text(part)} ${megabytes(bytes)}`).join(' · ')} · free ${megabytes(usage.freeBytes)} · ${days}</p>`
}

const table = (headings: string[], rows: string[]) =>
  `<div class="scroll"><table><thead><tr>${headings.map((heading, i) => `<th scope="col"${i === 0 ? '' : ' class="number"'}>${heading}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`

const number = (value: number) => `<td class="number">${value.toLocaleString('en')}</td>`

const codes = (counts: Record<string, number>) =>
  `<td class="number">${sum(counts).toLocaleString('en')}${Object.entries(counts)
    .map(([code, count]) => `<br><span class="quiet">${text(code)} ${count.toLocaleString('en')}</span>`)
    .join('')}</td>`

const megabytes = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Names come from people and events: nothing of them may become markup. */
const text = (value: string) => value.replace(/[&<>"']/g, (character) => entities[character] ?? '')

const page = (title: string, head: string, body: string) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${text(title)}</title>${head}
<style>
:root { color-scheme: light dark; --ink: light-dark(#1b2430, #e6ebf2); --quiet: light-dark(#5b6675, #9aa7b8); --paper: light-dark(#f7f8fa, #12161c); --sheet: light-dark(#fff, #1a2029); --line: light-dark(#dfe3e8, #2b333f); --alert: light-dark(#a1260d, #ff9d86) }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; max-width: 1080px; padding: 24px 16px }
h1 { font-size: 22px; margin: 0 } h2 { font-size: 16px; margin: 32px 0 8px } .quiet { color: var(--quiet); font-size: 13px } .alert { color: var(--alert) }
.scroll { overflow-x: auto; background: var(--sheet); border: 1px solid var(--line); border-radius: 8px }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: 8px 12px; border-top: 1px solid var(--line); vertical-align: top; font-weight: normal }
thead th { border-top: 0; color: var(--quiet); font-size: 13px } tbody th { font-weight: 600 } .number { text-align: right; font-variant-numeric: tabular-nums } code { font-size: 13px }
</style></head><body>${body}</body></html>`
