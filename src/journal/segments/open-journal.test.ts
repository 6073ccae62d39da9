import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { diskFileSystem } from '../../base/file-system.ts'
import type { Journal } from '../journal.ts'
import { journalSuite, type JournalFixture, type SuiteOptions } from '../journal-suite.ts'
import { openJournal } from './open-journal.ts'

journalSuite('segments on a real disk', makeOnDisk)

async function makeOnDisk({ segmentBytesMax }: SuiteOptions): Promise<JournalFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'journal-'))
  const views: Journal[] = []
  async function openAnother(): Promise<Journal> {
    const options = {
      directory: join(directory, 'journal'),
      fileSystem: diskFileSystem,
      clock: systemClock,
      newId: randomUUID,
    }
    const journal = await openJournal({ ...options, segmentBytesMax })
    views.push(journal)
    return journal
  }
  return {
    journal: await openAnother(),
    openAnother,
    crash: openAnother,
    async end() {
      for (const journal of views) await journal.close()
      await rm(directory, { recursive: true })
    },
  }
}
