/** The load client of the ingest benchmarks: wrk (Debian package `wrk`; `bench/install.sh` installs it). */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Posts `body` from 64 connections for `seconds`; returns requests answered with 200 per second. Throws when any failed. */
export function wrk(url: string, body: string, headers: Record<string, string>, seconds: number): Promise<number> {
  return runWrk(url, ['wrk.method = "POST"', `wrk.body = ${JSON.stringify(body)}`], headers, seconds)
}

/** As `wrk`, with GET. */
export function wrkGet(url: string, headers: Record<string, string>, seconds: number): Promise<number> {
  return runWrk(url, [], headers, seconds)
}

/** As `wrk`, with different requests one after the other, and again from the first. */
export function wrkInTurn(
  url: string,
  requests: { headers: Record<string, string>; body: string }[],
  seconds: number,
): Promise<number> {
  const formatted = requests.map(({ headers, body }) => {
    const fields = Object.entries(headers).map(([name, value]) => `[${JSON.stringify(name)}]=${JSON.stringify(value)}`)
    return `  wrk.format("POST", nil, {${fields.join(',')}}, ${JSON.stringify(body)}),`
  })
  const lines = [
    'local requests, at = {}, 0',
    'init = function() requests = {',
    ...formatted,
    '} end',
    'request = function() at = at % #requests + 1; return requests[at] end',
  ]
  return runWrk(url, lines, {}, seconds)
}

async function runWrk(url: string, lines: string[], headers: Record<string, string>, seconds: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-wrk-'))
  const script = join(directory, 'request.lua')
  const headerLines = Object.entries(headers).map(
    ([name, value]) => `wrk.headers["${name}"] = ${JSON.stringify(value)}`,
  )
  writeFileSync(script, [...lines, ...headerLines].join('\n'))
  try {
    const { stdout } = await run('wrk', ['-t1', '-c64', `-d${seconds}s`, '-s', script, url])
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`Requests failed:\n${stdout}`)
    const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)
    if (rate === null) throw new Error(`wrk printed no rate:\n${stdout}`)
    // The pattern has one group, which always takes part in a match.
    return Number(rate[1]!)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new Error('wrk is not installed: run bench/install.sh (Debian package wrk)', { cause: error })
    }
    throw error
  } finally {
    rmSync(directory, { recursive: true })
  }
}
