import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { urlOf, type PublicAddress } from './public-address.ts'
import { escapeHtml } from './script-text.ts'
import { snippetFor } from './snippet.ts'

export interface DemoPage {
  html: string
  /** The value of `Content-Security-Policy`: only the scripts that are in the page, and this installation. */
  policy: string
}

const template = new URL('./demo-page.html', import.meta.url)

/** A page with the snippet in it, buttons that make calls, and a list of what the library sent. Read at each call: it is for
 *  people, and an idle gateway keeps nothing of it. */
export async function renderDemoPage(
  source: { name: string; writeKey: string },
  address: PublicAddress,
): Promise<DemoPage> {
  const snippet = snippetFor(source.writeKey, address)
  const values: Record<string, string> = {
    name: escapeHtml(source.name),
    snippet,
    snippetText: escapeHtml(snippet),
  }
  const html = (await readFile(template, 'utf8')).replaceAll(
    /\{\{(\w+)\}\}/g,
    (mark, name: string) => values[name] ?? mark,
  )
  // A path in a policy would be matched exactly, so only the origin stands there.
  return { html, policy: policyFor(html, new URL(urlOf(address)).origin) }
}

function policyFor(html: string, installation: string): string {
  const hashes = (tag: string) =>
    // The pattern has one group, which always takes part in a match.
    [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))].map(([, code]) => `'sha256-${sha256(code!)}'`)
  return [
    "default-src 'none'",
    `script-src 'self' ${installation} ${hashes('script').join(' ')}`,
    `connect-src 'self' ${installation}`,
    `style-src ${hashes('style').join(' ')}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
