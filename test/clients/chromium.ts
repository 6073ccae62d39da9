/** Debian's Chromium, driven by playwright-core. */
import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

/** Starts a browser that talks to this machine only: every other name resolves to nothing, and a test that asks for one sees it. */
export async function startChromium(): Promise<Browser> {
  if (!existsSync(executablePath)) {
    throw new Error(`There is no ${executablePath}: run test/clients/install.sh (Debian package chromium)`)
  }
  return chromium.launch({
    executablePath,
    args: [
      // Tests run as root in containers, where the sandbox of Chromium does not start and /dev/shm is small.
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      // `localhost` stays: pages and product are different hosts by name, so that requests are cross-origin as on a real site.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
    ],
  })
}
