/** Bugs to be planted, one at a time: each must be caught by the simulation, or the simulation looks at nothing. */
import type { ScheduleOptions } from './schedule.ts'

export type Planted =
  | {
      /** Below `src`. */
      file: string
      /** Stands exactly once in the file. */
      before: string
      after: string
    }
  | { options: ScheduleOptions }

export type Mutant = { title: string } & Planted

export const mutants: Mutant[] = [
  // ---- Journal
  {
    title: 'the journal acknowledges what it has not synced',
    file: 'journal/segments/writer.ts',
    before: '    await this.#file.write(group.buffers(), position)\n    await this.#file.sync()\n',
    after: '    await this.#file.write(group.buffers(), position)\n',
  },
  {
    title: 'the journal publishes the mark before the sync',
    file: 'journal/segments/writer.ts',
    before: '    await this.#file.write(group.buffers(), position)\n    await this.#file.sync()\n',
    after:
      '    await this.#file.write(group.buffers(), position)\n' +
      '    await this.#parts.markFile.write([encodeMark({ end: group.endOffset, segmentBase, position: position + group.bytes })], 0)\n' +
      '    await this.#file.sync()\n',
  },
  {
    title: 'the directory of a new segment is not synced',
    file: 'journal/segments/writer.ts',
    before: '      await handle.write([head], 0)\n      await fileSystem.syncDirectory(partitionPath)\n',
    after: '      await handle.write([head], 0)\n',
  },
  {
    title: 'recovery keeps the end of a write that a crash cut off',
    file: 'journal/segments/recovery.ts',
    before: '  if (cut !== undefined) end = cut\n',
    after: '',
  },
  {
    title: 'readers do not stop at the mark',
    file: 'journal/segments/reader.ts',
    before: '    if (file.baseOffset === mark.segmentBase) return { offset: mark.end, position: mark.position }\n',
    after:
      '    if (file.baseOffset === mark.segmentBase) return { offset: Infinity, position: await file.handle.size() }\n',
  },
  {
    title: 'segments are removed in any order',
    file: 'journal/segments/open-journal.ts',
    before: '      await fileSystem.syncDirectory(partitionPath)\n    }\n    if (removed.length === 0)',
    after: '    }\n    if (removed.length === 0)',
  },
  {
    title: 'the first offset of a partition that begins is taken for gone',
    file: 'journal/segments/open-journal.ts',
    before: 'return Math.min(firstHot ?? Infinity, firstCold ?? Infinity, end)',
    // Looked up a moment later, so that the moment is met often enough.
    after:
      'for (let i = 0; i < 12; i += 1) await listSegments(fileSystem, pathOf(topic, partition))\n' +
      '    return Math.min(firstHot ?? Infinity, firstCold ?? Infinity, (await markOf(topic, partition))?.end ?? 0)',
  },
  // ---- Gateway
  {
    title: 'the gateway counts a refused request',
    file: 'gateway/received-topic.ts',
    before: '        totals.set(source, (totals.get(source) ?? 0) - messages)\n',
    after: '',
  },
  // ---- Pipeline
  {
    title: 'the pipeline resumes one message too late',
    file: 'pipeline/input.ts',
    before: 'position.offset === frame.offset ? position.index : 0',
    after: 'position.offset === frame.offset ? position.index + 1 : 0',
  },
  {
    title: 'the pipeline resumes one message too early',
    file: 'pipeline/input.ts',
    before: 'position.offset === frame.offset ? position.index : 0',
    after: 'position.offset === frame.offset ? Math.max(0, position.index - 1) : 0',
  },
  {
    title: 'ids are in the dedupe index before their frames are durable',
    file: 'pipeline/consume.ts',
    before: '    const first = await this.#append(this.#framesOf(drafts))\n',
    after:
      '    const early: IndexEntry[] = []\n' +
      '    const base = this.#openWriter().nextOffset\n' +
      '    drafts.forEach((draft, i) => draft.id && early.push({ kind: draft.id.kind, key: draft.id.key, offset: base + i, receivedAtMs: draft.timeMs }))\n' +
      '    await this.#options.dedupe.put(early, base + drafts.length)\n' +
      '    const first = await this.#append(this.#framesOf(drafts))\n',
  },
  {
    title: 'ids of chunks under way are not kept',
    file: 'pipeline/duplicates.ts',
    before: '    for (const [key, mine] of taken) inFlight.set(key, mine)\n',
    after: '',
  },
  {
    title: 'the dedupe index is not brought up to the end of events',
    file: 'pipeline/consume.ts',
    before: '    await catchUp(this.#parts(), dedupe, idFiles, opened.writer.nextOffset, windowDays)\n',
    after: '',
  },
  {
    title: 'messages are counted before their frames are durable',
    file: 'pipeline/consume.ts',
    before:
      '    const first = await this.#append(this.#framesOf(drafts))\n' +
      '    if (first === undefined) return\n' +
      '    const entries: IndexEntry[] = []\n' +
      '    drafts.forEach((draft, i) => {\n' +
      '      this.#state.fold(draft)\n',
    after:
      '    const frames = this.#framesOf(drafts)\n' +
      '    for (const draft of drafts) this.#state.fold(draft)\n' +
      '    const first = await this.#append(frames)\n' +
      '    if (first === undefined) return\n' +
      '    const entries: IndexEntry[] = []\n' +
      '    drafts.forEach((draft, i) => {\n',
  },
  {
    title: 'an index built anew begins with the frames that are kept',
    file: 'pipeline/catch-up.ts',
    before: 'ranges[0]?.base ?? end',
    after: 'end',
  },
  {
    title: 'workspaces are looked up in requests that cannot be read yet',
    file: 'pipeline/catch-up.ts',
    before: 'workspaceOf(source) ?? (await workspaceOfRequest(parts, frame))',
    after: 'await workspaceOfRequest(parts, frame)',
  },
  {
    title: 'forwarding goes on without a look at what stands in its partition',
    file: 'pipeline/forwarder.ts',
    before: '      next = item.inputOffset + 1\n',
    after: '',
  },
  {
    title: 'what a crash kept from being forwarded is forgotten',
    file: 'pipeline/consume.ts',
    before: 'this.#forward(this.#unforwarded.splice(0))',
    after: 'this.#forward([])',
  },
  {
    title: 'events go on before what is blocked has been forwarded',
    file: 'pipeline/consume.ts',
    before: '    await this.#forward(drafts.flatMap(',
    after: '    void this.#forward(drafts.flatMap(',
  },
  {
    title: 'what was forwarded can be blocked again',
    file: 'pipeline/drafts.ts',
    before: '  if (head.forwarded !== undefined) return',
    after: '  if (head.forwarded !== undefined && !context.controlsOf(frame.source)) return',
  },
  {
    title: 'an index built anew does not know the ids of blocked events',
    file: 'pipeline/catch-up.ts',
    before: '  if (frame.isDamaged) return undefined\n',
    after: '  if (frame.isDamaged || frame.kind === eventKinds.dropped) return undefined\n',
  },
  // ---- Delivery
  {
    title: 'delivery frees a slot before the outcome is durable',
    file: 'delivery/outcome-log.ts',
    before: '      if (run) whenDurable.push(run)\n      start()\n    },\n    drop(',
    after: '      if (run) queueMicrotask(run)\n      start()\n    },\n    drop(',
  },
  {
    title: 'the cursor of a connection passes what is under way',
    file: 'delivery/feed.ts',
    before: '    return this.watermark.low ?? this.next\n',
    after: '    return this.next\n',
  },
  {
    title: 'retries are forgotten at a restart',
    file: 'delivery/connection.ts',
    before: '    if (isFirst) this.#restoreWaiting(plan)\n',
    after: '',
  },
  {
    title: 'outcomes after the checkpoint are not folded at a restart',
    file: 'delivery/recover.ts',
    before: '      if (item.offset >= foldedTo) fold(',
    after: '      if (item.offset > foldedTo) fold(',
  },
  {
    title: 'a checkpoint of delivery leaves out what became of a waiting message',
    file: 'delivery/fold.ts',
    before: '  if (open === undefined) books.open.set(offset, message)\n  books.changed.add(offset)\n',
    after: '  if (open === undefined) books.open.set(offset, message)\n',
  },
  {
    title: 'delivery moves its cursors back behind a mark that a power cut made old',
    file: 'delivery/delivery.ts',
    before: '    for (const ledger of recovered.ledgers.values()) {\n',
    after:
      '    for (const ledger of recovered.ledgers.values()) {\n' +
      "      for (const [partition, books] of ledger.partitions) books.counted = Math.min(books.counted, await journal.durableEnd('events', partition))\n",
  },
  {
    title: 'what a checkpoint of delivery needs counted is given up before it is synced',
    file: 'delivery/delivery.ts',
    before: '    store.flush()\n',
    after: '',
  },
  // ---- Loader
  {
    title: 'the loader moves its cursor before it writes rows',
    file: 'loader/sync.ts',
    before: '    const result = await this.withConnection((connection) => connection.load(load))\n',
    after:
      '    const cursorsFirst: Load = { ...load, createTables: [], addColumns: [], alterColumns: [], append: [], upsert: [] }\n' +
      '    await this.withConnection((connection) => connection.load(cursorsFirst))\n' +
      '    const result = await this.withConnection((connection) => connection.load({ ...load, cursors: [] }))\n',
  },
  {
    title: 'the loader remembers its cursor before the load has ended',
    file: 'loader/sync.ts',
    before: '    const result = await this.withConnection((connection) => connection.load(load))\n',
    after:
      '    for (const { part } of typed) part.chunk.cursor.offset = Math.max(offset, part.chunk.cursor.offset)\n' +
      '    const result = await this.withConnection((connection) => connection.load(load))\n',
  },
  {
    title: 'the loader moves its cursor back behind a mark that a power cut made old',
    file: 'loader/sync.ts',
    before: '    const { offset } = stored\n',
    after: "    const offset = Math.min(stored.offset, await journal.durableEnd('events', partition))\n",
  },
  {
    title: 'a question moves the cursor of a sync back',
    file: 'loader/sync.ts',
    before: 'if (!ofSource.has(partition)) ofSource.set(partition, cursor)',
    after: 'ofSource.set(partition, cursor)',
  },
  {
    title: 'the loader keeps its idea of the tables after a load that failed',
    file: 'loader/sync.ts',
    before:
      '    const read: TableSchema[] = await this.withConnection((connection) => connection.readSchema([schema]))\n',
    after: '    const read: TableSchema[] = []\n',
  },
  { title: 'the warehouse does not look whether an id is there', options: { skipsAntiJoin: true } },
]
