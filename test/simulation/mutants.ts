/**
 * Planted bugs: each must be caught by the simulation, or the simulation looks at nothing. Run it by hand after a change to
 * the simulation or to what it covers: `node test/simulation/mutants.ts [words of a title]`. Every mutant gets a copy of the
 * sources in a temporary folder, never the work tree itself.
 */
import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Mutant {
  title: string
  file: string
  /** Stands exactly once in the file. */
  before: string
  after: string
  /** The test that must fail, and how many schedules it may take. */
  test: string
  schedules: number
}

const writer = 'src/journal/segments/writer.ts'
const recovery = 'src/journal/segments/recovery.ts'
const journalTest = { test: 'test/simulation/journal.test.ts', schedules: 2000 }

const mutants: Mutant[] = [
  {
    title: 'an append is acknowledged without a sync',
    file: writer,
    before: '    await this.#file.write(group.buffers(), position)\n    await this.#file.sync()\n',
    after: '    await this.#file.write(group.buffers(), position)\n',
    ...journalTest,
  },
  {
    title: 'the sync runs beside the write instead of after it',
    file: writer,
    before: '    await this.#file.write(group.buffers(), position)\n    await this.#file.sync()\n',
    after: '    await Promise.all([this.#file.write(group.buffers(), position), this.#file.sync()])\n',
    ...journalTest,
  },
  {
    title: 'a new segment is not synced into its directory',
    file: writer,
    before: '      await handle.write([head], 0)\n      await fileSystem.syncDirectory(partitionPath)\n',
    after: '      await handle.write([head], 0)\n',
    ...journalTest,
  },
  {
    title: 'the checkpoint of a new segment is taken when it is written, not when its first frame is taken',
    file: writer,
    before: 'checkpoint: checkpoint(),',
    after: 'get checkpoint() { return undefined },',
    ...journalTest,
  },
  {
    title: 'memory of a group is used again before it is written',
    file: writer,
    before: '    await this.#file.write(group.buffers(), position)\n',
    after:
      '    const buffers = group.buffers()\n    this.#spareChunk = group.takeChunk()\n    await this.#file.write(buffers, position)\n',
    ...journalTest,
  },
  {
    title: 'after a failed sync the writer goes on',
    file: writer,
    before: '    await this.#file.sync()\n    this.#mark =',
    after: '    await this.#file.sync().catch(() => this.#file!.sync())\n    this.#mark =',
    ...journalTest,
  },
  {
    title: 'a full disk leaves refused frames in the file',
    file: writer,
    before: '      await this.#file?.truncate(this.#mark.position)\n',
    after: '',
    ...journalTest,
  },
  {
    title: 'after a full disk the offsets of refused frames are skipped',
    file: writer,
    before: '    this.#nextOffset = this.#mark.end\n    this.#plannedBytes',
    after: '    this.#plannedBytes',
    ...journalTest,
  },
  {
    title: 'a torn tail is not cut',
    file: recovery,
    before: 'const isTorn = end.offset >= durableEnd && end.position < fileBytes',
    after: 'const isTorn = false',
    test: 'src/journal/segments/faults.test.ts',
    schedules: 0,
  },
  {
    title: 'what is sound above the durable end is believed without writing it again',
    file: recovery,
    before: 'position < scan.end.position; position += blockBytes',
    after: 'position < 0; position += blockBytes',
    ...journalTest,
  },
  {
    title: 'recovery does not sync what it wrote',
    file: recovery,
    before: '  await handle.sync()\n}',
    after: '}',
    ...journalTest,
  },
  {
    title: 'recovery cuts the tail at the stored mark',
    file: recovery,
    before: 'if (cut !== undefined) end = cut',
    after: 'end = headers.findLast((header) => header.offset <= markEnd) ?? end',
    ...journalTest,
  },
  {
    title: 'readers read to the end of the file instead of the mark',
    file: 'src/journal/segments/reader.ts',
    before: '    if (file.baseOffset === mark.segmentBase) return { offset: mark.end, position: mark.position }',
    after:
      '    if (file.baseOffset === mark.segmentBase) return { offset: Infinity, position: await file.handle.size() }',
    ...journalTest,
  },
  {
    title: 'the journal id is written without tmp and rename',
    file: 'src/journal/whole-file.ts',
    before: '  const temporary = `${path}.tmp`\n',
    after: '  const temporary = path\n',
    ...journalTest,
  },
]

const root = fileURLToPath(new URL('../..', import.meta.url))

async function isCaught(mutant: Mutant): Promise<boolean> {
  const copy = await mkdtemp(join(tmpdir(), 'mutant-'))
  try {
    for (const name of ['src', 'test', 'connectors', 'package.json'])
      await cp(join(root, name), join(copy, name), { recursive: true })
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
    const path = join(copy, mutant.file)
    const source = await readFile(path, 'utf8')
    if (source.split(mutant.before).length !== 2)
      throw new Error(`"${mutant.title}": its place is not there once; follow the code`)
    await writeFile(
      path,
      source.replace(mutant.before, () => mutant.after),
    )
    const env = { ...process.env, SCHEDULES: String(mutant.schedules) }
    const result = spawnSync(process.execPath, ['--test', mutant.test], { cwd: copy, env, encoding: 'utf8' })
    const seed = /SEED=(\d+)/.exec(result.stdout)?.[1]
    const caught = seed === undefined ? 'caught' : `caught by seed ${seed}`
    console.log(`${result.status === 0 ? 'MISSED' : caught}: ${mutant.title}`)
    return result.status !== 0
  } finally {
    await rm(copy, { recursive: true })
  }
}

const words = process.argv.slice(2).join(' ')
let missed = 0
for (const mutant of mutants) if (mutant.title.includes(words) && !(await isCaught(mutant))) missed += 1
process.exitCode = missed === 0 ? 0 : 1
