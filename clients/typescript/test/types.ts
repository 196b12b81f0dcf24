// What the compiler must take, and what it must not. Never run: `tsc` is the test, and an expected error that does not come is one.

import { Client, DbalError, type AnySchema, type CreateData, type ErrorCode, type Filter, type Row } from "@dbal/client";
import type { Schema } from "./schema.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile unless the two are the very same type. */
function same<A, B>(..._: Equal<A, B> extends true ? [] : [{ expected: B; found: A }]): void {}

declare const db: Client<Schema>;

export async function whatIsTaken(): Promise<void> {
  const note = await db.read("Note", "id");
  same<typeof note, Row<Schema, "Note">>();
  same<(typeof note)["state"], "draft" | "published">();
  same<(typeof note)["body"], string | null>();

  const short = await db.findFirst("Note", { select: ["id", "title"] });
  same<typeof short, { id: string; title: string } | null>();

  const page = await db.list("Note", {
    filter: {
      title: { contains: "x", mode: "insensitive" },
      state: { in: ["draft"] },
      createdAt: { gte: new Date(), lt: "2030-01-01T00:00:00Z" },
      body: null,
      owner: { some: { username: "alice" } },
      OR: [{ rank: 1 }, { NOT: { rank: { between: [1, 2] } } }],
    },
    sort: { createdAt: "desc" },
    select: ["title"],
    include: { owner: true, comments: { select: ["text"], include: { author: { select: ["username"] } } } },
  });
  type Listed = (typeof page)["data"][number];
  same<Listed["title"], string>();
  same<Listed["owner"], { [F in keyof Row<Schema, "User">]: Row<Schema, "User">[F] } | null>();
  same<Listed["comments"][number]["text"], string>();
  same<Listed["comments"][number]["author"], { username: string } | null>();
  // @ts-expect-error: not selected
  page.data[0]?.body;
  // @ts-expect-error: not selected within
  page.data[0]?.comments[0]?.createdAt;

  interface Partial {
    Log: {
      row: { id: string; thingId?: string };
      create: never;
      update: never;
      kinds: { id: "uuid"; thingId: "uuid" };
      key: "id";
      unique: "id";
      relations: { thing: { to: "Log"; many: false; partly: true } };
    };
  }
  const log = await (db as unknown as Client<Partial>).read("Log", "id", { select: ["id"], include: { thing: { select: ["id"] } } });
  same<typeof log, { id: string; thing?: { id: string } | null }>();

  const made = await db.create("Note", { title: "x" });
  same<typeof made, Row<Schema, "Note"> | null>();
  same<CreateData<Schema, "User">, never>();

  const total = await db.aggregate("Note", { sum: ["rank"], max: ["createdAt"] });
  same<typeof total, { sum: { rank: number | string | null }; max: { createdAt: string | null } }>();
  const groups = await db.aggregate("Note", { groupBy: ["state"], count: true });
  same<(typeof groups)["data"][number], { group: { state: "draft" | "published" }; count: number }>();
  const all = await db.aggregate("Note");
  same<typeof all, { count: number }>();

  const first = db.create("Note", { title: "x" });
  const second = db.create("Comment", { noteId: first.ref("id"), authorId: "a", text: "t" });
  const both = await db.transaction([first, second, db.count("Note")]);
  same<typeof both, [Row<Schema, "Note"> | null, Row<Schema, "Comment"> | null, number]>();
  const [settled] = await db.batch([db.count("Note")]);
  if (settled.status === "fulfilled") same<typeof settled.value, number>();
  else same<typeof settled.reason, DbalError>();

  for await (const { title } of db.rows("Note", { select: ["title"] })) same<typeof title, string>();
  const narrow: Filter<Schema, "Note"> = { state: "draft" };
  await db.deleteMany("Note", narrow);
  const promise: Promise<number> = db.count("Note");
  await promise;
  const code: ErrorCode = new DbalError("closed", "").code;
  void code;
}

export async function whatIsTakenOfAnUnknownSchema(any: Client<AnySchema>): Promise<void> {
  const page = await any.list("Whatever", {
    filter: { title: { contains: "x" }, rank: 1, OR: [{ a: null }, { b: { some: { c: 1 } } }] },
    sort: { a: "asc" },
    select: ["title"],
    include: { owner: true, comments: { limit: 1 } },
  });
  const title: string = page.data[0]?.["title"];
  const made = any.create("Whatever", { title, rank: 1 });
  await any.transaction([made, any.update("Other", made.ref("id"), { a: 1 })]);
  await any.upsert("Whatever", { id: "x" }, { a: 1 }, { b: 2 });
  // @ts-expect-error: options are known nevertheless
  await any.list("Whatever", { filtr: {} });
}

export function whatIsNotTaken(): void {
  // @ts-expect-error: no such entity
  db.list("Nota");
  // @ts-expect-error: no such field in a filter
  db.list("Note", { filter: { titel: "x" } });
  // @ts-expect-error: one right field doesn't hide a wrong one
  db.list("Note", { filter: { title: "x", titel: "x" } });
  // @ts-expect-error: no such option
  db.list("Note", { filtr: {}, limit: 1 });
  // @ts-expect-error: no such value of the enum
  db.list("Note", { filter: { state: "publisched" } });
  // @ts-expect-error: an enum has no order
  db.list("Note", { filter: { state: { gt: "draft" } } });
  // @ts-expect-error: a number has no beginning
  db.list("Note", { filter: { rank: { startsWith: "1" } } });
  // @ts-expect-error: a text is no number
  db.list("Note", { filter: { rank: "1" } });
  // @ts-expect-error: no such operator
  db.list("Note", { filter: { rank: { greater: 1 } } });
  // @ts-expect-error: no such field to sort by
  db.list("Note", { sort: { titel: "asc" } });
  // @ts-expect-error: no such direction
  db.list("Note", { sort: { title: "up" } });
  // @ts-expect-error: no such field
  db.list("Note", { select: ["titel"] });
  // @ts-expect-error: no such relation
  db.list("Note", { include: { author: true } });
  // @ts-expect-error: no such field of the linked entity
  db.list("Note", { include: { owner: { select: ["title"] } } });
  // @ts-expect-error: no such option of an include
  db.list("Note", { include: { comments: { page: 2 } } });
  // @ts-expect-error: no such field in the filter of an include
  db.list("Note", { include: { comments: { filter: { txt: "x" } } } });
  // @ts-expect-error: false brings nothing along
  db.list("Note", { include: { owner: false } });
  // @ts-expect-error: a page by number has no cursor, and rows() takes neither
  db.rows("Note", { page: 2 });
  // @ts-expect-error: what a new row needs
  db.create("Note", {});
  // @ts-expect-error: the policy fills it in
  db.create("Note", { title: "x", ownerId: "y" });
  // @ts-expect-error: nobody with this role makes users
  db.create("User", { username: "x" });
  // @ts-expect-error: a field that is not null
  db.update("Note", "id", { title: null });
  // @ts-expect-error: a field that never changes
  db.update("Comment", "id", { noteId: "x" });
  // @ts-expect-error: not unique
  db.updateByField("Note", "title", "x", {});
  // @ts-expect-error: not unique
  db.upsert("Note", { title: "x" }, { title: "x" }, {});
  // @ts-expect-error: a text has no sum
  db.aggregate("Note", { sum: ["title"] });
  // @ts-expect-error: a uuid has no smallest value
  db.aggregate("Note", { min: ["id"] });
  // @ts-expect-error: all rows are asked for by name
  db.deleteMany("Note");
  // @ts-expect-error: a read has no idempotency key
  db.count("Note", {}, { idempotencyKey: "x" });
  // @ts-expect-error: a field that another row has
  db.create("Note", { title: db.create("Comment", { noteId: "a", authorId: "b", text: "c" }).ref("title") });
  // @ts-expect-error: a number where a text belongs
  db.create("Note", { title: db.create("Note", { title: "x" }).ref("rank") });
  // @ts-expect-error: the policy hides it from some: it may be missing
  db.read("User", "id").then(({ email }) => email.length);
}
