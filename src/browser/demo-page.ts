import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { apiHostOf, urlOf, type PathNames, type PublicAddress } from './public-address.ts'
import { escapeHtml } from './script-text.ts'
import { snippetFor } from './snippet.ts'

export interface DemoPage {
  html: string
  /** The value of `Content-Security-Policy`: only the scripts that are in the page, and this installation. */
  policy: string
}

const template = new URL('./demo-page.html', import.meta.url)

export interface DemoParts {
  name: string
  writeKey: string
  address: PublicAddress
  names: PathNames
  /** Destinations run in the page, whose code comes from their vendors' hosts. */
  hasDeviceMode: boolean
}

/** A page with the snippet in it, buttons that make calls, and a list of what the library sent. Read at each call: it is for
 *  people, and an idle gateway keeps nothing of it. */
export async function renderDemoPage({ name, writeKey, address, names, hasDeviceMode }: DemoParts): Promise<DemoPage> {
  const snippet = snippetFor(writeKey, address, names)
  const current = 'aria-current="page"'
  const values: Record<string, string> = {
    name: escapeHtml(name),
    writeKey: escapeHtml(writeKey),
    address: escapeHtml(apiHostOf(address, writeKey, names)),
    base: urlOf(address),
    snippet,
    snippetText: escapeHtml(snippet),
    usualIsCurrent: names === 'usual' ? current : '',
    neutralIsCurrent: names === 'neutral' ? current : '',
  }
  const html = (await readFile(template, 'utf8')).replaceAll(
    /\{\{(\w+)\}\}/g,
    (mark, name: string) => values[name] ?? mark,
  )
  // A path in a policy would be matched exactly, so only the origin stands there.
  const hosts = [new URL(urlOf(address)).origin, ...(hasDeviceMode ? ['https:'] : [])].join(' ')
  return { html, policy: policyFor(html, hosts, hasDeviceMode ? ' https:' : '') }
}

function policyFor(html: string, hosts: string, vendors: string): string {
  const hashes = (tag: string) =>
    // The pattern has one group, which always takes part in a match.
    [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))].map(([, code]) => `'sha256-${sha256(code!)}'`)
  return [
    "default-src 'none'",
    `script-src 'self' ${hosts} ${hashes('script').join(' ')}`,
    `connect-src 'self' ${hosts}`,
    `style-src ${hashes('style').join(' ')}${vendors}`,
    `img-src data:${vendors}`,
    ...(vendors === '' ? [] : [`frame-src${vendors}`]),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
