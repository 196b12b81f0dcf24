// Where `prisma generate` finds the schema.
export default { schema: "prisma/schema.prisma" };
