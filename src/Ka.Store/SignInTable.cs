using System.Collections.Immutable;
using System.Text.Json;
using Dapper;

namespace Ka.Store;

/// <summary>What the issuer of single sign-on said of somebody.</summary>
/// <param name="Groups">Without <c>@</c>.</param>
/// <param name="IssuedAt">Of the token that said it: a later one counts in its place.</param>
/// <param name="Until">From then on it counts no more.</param>
public sealed record SignIn(string Name, ImmutableArray<string> Groups, DateTimeOffset IssuedAt, DateTimeOffset Until);

/// <summary>The last word of the issuer on each person, for operations and consoles that go on between two requests, also over a restart.</summary>
public sealed class SignInTable(Database database)
{
    sealed record Row(string Name, string MemberOf, long IssuedAt, long CountsUntil);

    /// <summary>Null when nothing is known, or it was long ago.</summary>
    public SignIn? Find(string name, DateTimeOffset now)
    {
        var at = now.ToUnixTimeMilliseconds();
        return database.Read(c => c.QuerySingleOrDefault<Row>(
            "select name, member_of as MemberOf, issued_at as IssuedAt, counts_until as CountsUntil from sign_ins where name = @name and counts_until > @at", new { name, at })) is { } row
            ? new SignIn(row.Name, JsonSerializer.Deserialize<ImmutableArray<string>>(row.MemberOf, StoreJson.Options), At(row.IssuedAt), At(row.CountsUntil))
            : null;
    }

    /// <summary>Notes what a token says, unless a later one has spoken. What counts no more is forgotten.</summary>
    public void Note(SignIn said, DateTimeOffset now)
    {
        if (Find(said.Name, now) is { } known && known.IssuedAt >= said.IssuedAt)
            return;
        database.Write((c, t) =>
        {
            c.Execute("delete from sign_ins where counts_until <= @at", new { at = now.ToUnixTimeMilliseconds() }, t);
            c.Execute(
                "insert into sign_ins (name, member_of, issued_at, counts_until) values (@Name, @groups, @issued, @until)"
                    + " on conflict (name) do update set member_of = excluded.member_of, issued_at = excluded.issued_at, counts_until = excluded.counts_until",
                new { said.Name, groups = JsonSerializer.Serialize(said.Groups, StoreJson.Options), issued = said.IssuedAt.ToUnixTimeMilliseconds(), until = said.Until.ToUnixTimeMilliseconds() }, t);
        });
    }

    static DateTimeOffset At(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
}
