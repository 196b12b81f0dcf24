// Types of the entities, of user: made by `dbal schema typescript`, and not to be edited.

export interface Schema {
  Comment: {
    row: {
      id: string;
      noteId: string;
      authorId: string;
      text: string;
      createdAt: string;
    };
    create: {
      noteId: string;
      authorId: string;
      text: string;
    };
    update: {
      text?: string;
    };
    kinds: {
      id: "uuid";
      noteId: "uuid";
      authorId: "uuid";
      text: "text";
      createdAt: "datetime";
    };
    key: "id";
    unique: "id";
    relations: {
      author: { to: "User"; many: false };
      note: { to: "Note"; many: false };
    };
  };
  Note: {
    row: {
      id: string;
      ownerId: string;
      title: string;
      body: string | null;
      state: "draft" | "published";
      rank: number;
      createdAt: string;
      updatedAt: string;
    };
    create: {
      title: string;
      body?: string | null;
      state?: "draft" | "published";
      rank?: number;
    };
    update: {
      title?: string;
      body?: string | null;
      state?: "draft" | "published";
      rank?: number;
    };
    kinds: {
      id: "uuid";
      ownerId: "uuid";
      title: "string";
      body: "text";
      state: "enum";
      rank: "integer";
      createdAt: "datetime";
      updatedAt: "datetime";
    };
    key: "id";
    unique: "id";
    relations: {
      comments: { to: "Comment"; many: true };
      owner: { to: "User"; many: false };
    };
  };
  /** A person with an account. */
  User: {
    row: {
      id: string;
      /** Chosen at sign-up; part of the profile's address. */
      username: string;
      email?: string;
      displayName: string | null;
      role?: "user" | "moderator" | "admin";
      createdAt?: string;
      updatedAt?: string;
    };
    create: never;
    update: {
      email?: string;
      displayName?: string | null;
    };
    kinds: {
      id: "uuid";
      username: "string";
      email: "email";
      displayName: "string";
      role: "enum";
      createdAt: "datetime";
      updatedAt: "datetime";
    };
    key: "id";
    unique: "id" | "username" | "email";
    relations: {
      comments: { to: "Comment"; many: true };
      notes: { to: "Note"; many: true };
    };
  };
}
