/** The DuckDB load (parse, flatten, load, commit) against rows that are flattened already, each as a process of its own. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { alternate, isShort, perSecond, report } from './report.ts'

const run = promisify(execFile)
const count = isShort ? 5_000 : 150_000
const rounds = isShort ? 1 : 5
const directory = mkdtempSync(join(tmpdir(), 'tributary-load-'))
let round = 0

async function rateOf(script: string, args: string[]): Promise<number> {
  const { stdout } = await run(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...args])
  return Number(stdout.trim())
}

const result = await alternate(
  rounds,
  () => rateOf('./limits/duckdb-load.ts', [join(directory, `${(round += 1)}.duckdb`), String(count)]),
  () => rateOf('./load-once.ts', [String(count)]),
)
rmSync(directory, { recursive: true })
report('Load', [
  {
    what: 'DuckDB load: parse, flatten, load, commit',
    result: `ratio ${result.ratio.toFixed(2)} (${result.ratioMin.toFixed(2)}–${result.ratioMax.toFixed(2)})`,
    budget: '≥ 0.4',
    isMet: result.ratio >= 0.4,
    note: `ours ${perSecond(Math.max(...result.ours))} events, flattened rows with appender and MERGE ${perSecond(Math.max(...result.limit))}`,
  },
])
