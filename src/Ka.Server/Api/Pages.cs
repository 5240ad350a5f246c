using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Microsoft.AspNetCore.WebUtilities;

namespace Ka.Server.Api;

/// <summary>Which part of a list is wanted.</summary>
/// <param name="Limit">Most rows of the answer.</param>
/// <param name="Cursor">From the link to the next page, in the header <c>Link</c>.</param>
public sealed record PageQuery(int? Limit, string? Cursor);

/// <summary>A page of a list: at most so many rows, after the one with this key.</summary>
/// <param name="List">What list it is; a cursor of another list is none of this.</param>
sealed record Page(string List, int Limit, string? After)
{
    const int LongestCursor = 512;

    /// <summary>The page that is asked for, or why there is none.</summary>
    public static (Page? Page, IResult? Refusal) Read(PageQuery query, string list, int usual, int most)
    {
        if (query.Limit is < 1 || query.Limit > most)
            return (null, Refuse("limit", $"'limit' is 1 to {most}", query.Limit.ToString()));
        if (query.Cursor is null)
            return (new Page(list, query.Limit ?? usual, null), null);
        return Key(query.Cursor, list) is { } after
            ? (new Page(list, query.Limit ?? usual, after), null)
            : (null, Refuse("cursor", "'cursor' is none that this list gave", query.Cursor));
    }

    static string? Key(string cursor, string list)
    {
        if (cursor.Length > LongestCursor)
            return null;
        try
        {
            var text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(WebEncoders.Base64UrlDecode(cursor));
            return text.StartsWith(list + "\n", StringComparison.Ordinal) ? text[(list.Length + 1)..] : null;
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>The first rows of those that come after this page's key; when there are more, the answer's header says where.</summary>
    public ImmutableArray<T> Cut<T>(IEnumerable<T> rows, Func<T, string> keyOf, HttpContext context)
    {
        var page = rows.Take(Limit + 1).ToImmutableArray();
        if (page.Length <= Limit)
            return page;
        page = page.RemoveAt(Limit);
        var query = context.Request.Query.Where(q => q.Key != "cursor").SelectMany(q => q.Value, (q, v) => KeyValuePair.Create(q.Key, v))
            .Append(KeyValuePair.Create("cursor", (string?)WebEncoders.Base64UrlEncode(Encoding.UTF8.GetBytes($"{List}\n{keyOf(page[^1])}"))));
        context.Response.Headers.Link = $"<{QueryHelpers.AddQueryString(context.Request.Path, query)}>; rel=\"next\"";
        return page;
    }

    /// <summary>The same of a list that has no order by keys: the key is the number of rows before.</summary>
    public ImmutableArray<T> CutByNumber<T>(ImmutableArray<T> rows, HttpContext context)
    {
        var begin = int.TryParse(After, out var n) && n > 0 ? Math.Min(n, rows.Length) : 0;
        return [.. Cut(rows.Skip(begin).Select((row, i) => (Row: row, Number: begin + i + 1)), r => r.Number.ToString(), context).Select(r => r.Row)];
    }

    internal static IResult Refuse(string parameter, string why, string? offending) => Problems.Of(
        Fault.Of(FaultCodes.RequestInvalid, why), [new ProblemError("?" + parameter, why, offending is null ? null : DocumentError.Cut(offending), null, null)]);
}

/// <summary>Lists of which only some members are wanted.</summary>
static class Fields
{
    /// <summary>The rows with the members that <paramref name="fields"/> names, separated by commas; null for all.</summary>
    public static IResult Json<T>(ImmutableArray<T> rows, string? fields, JsonTypeInfo<ImmutableArray<T>> all, JsonTypeInfo<T> one)
    {
        if (fields is null)
            return Results.Json(rows, all);
        var chosen = new List<JsonPropertyInfo>();
        foreach (var name in fields.Split(',').Distinct())
            if (one.Properties.FirstOrDefault(p => p.Name == name) is { } found)
                chosen.Add(found);
            else
                return Page.Refuse("fields", $"there is no member '{DocumentError.Cut(name)}'; there are {string.Join(", ", one.Properties.Select(p => p.Name))}", name);
        using var text = new MemoryStream();
        using (var writer = new Utf8JsonWriter(text))
        {
            writer.WriteStartArray();
            foreach (var row in rows)
                Write(writer, row, chosen);
            writer.WriteEndArray();
        }
        return Results.Bytes(text.ToArray(), "application/json; charset=utf-8");
    }

    static void Write<T>(Utf8JsonWriter writer, T row, List<JsonPropertyInfo> chosen)
    {
        writer.WriteStartObject();
        foreach (var member in chosen)
            if (member.Get!(row!) is { } value)
            {
                writer.WritePropertyName(member.Name);
                JsonSerializer.Serialize(writer, value, RestJson.Default.GetTypeInfo(member.PropertyType)!);
            }
        writer.WriteEndObject();
    }
}
