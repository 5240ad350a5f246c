using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>A span as it came over the wire.</summary>
sealed record ReceivedSpan(string Trace, string Id, string Parent, string Name, DateTimeOffset From, DateTimeOffset Until, int Status, string Message, ImmutableDictionary<string, string> Attributes);

/// <summary>A small collector of OTLP over HTTP on loopback, which reads what it gets.</summary>
sealed class OtlpReceiver : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="answers">Else it takes what comes and says nothing.</param>
    public OtlpReceiver(bool answers = true)
    {
        var builder = QuietSite.Builder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.MapPost("/{**path}", async (HttpContext context) =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            Requests.Enqueue((context.Request.Path, context.Request.Headers["x-key"].ToString()));
            foreach (var span in Spans(body.ToArray()))
                Received.Enqueue(span);
            if (!answers)
                await _disposed.Task;
            context.Response.ContentType = "application/x-protobuf";
        });
    }

    public ConcurrentQueue<(string Path, string Key)> Requests { get; } = new();

    public ConcurrentQueue<ReceivedSpan> Received { get; } = new();

    public async Task<Uri> StartAsync()
    {
        await _app.StartAsync();
        return new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    public async Task<ReceivedSpan[]> WhenAsync(int spans)
    {
        while (Received.Count < spans)
            await Task.Delay(1, TestContext.Current.CancellationToken);
        return [.. Received];
    }

    public async ValueTask DisposeAsync()
    {
        _disposed.TrySetResult();
        await _app.DisposeAsync();
    }

    /// <summary>ExportTraceServiceRequest → ResourceSpans (1) → ScopeSpans (2) → Span (2).</summary>
    static IEnumerable<ReceivedSpan> Spans(byte[] request) =>
        from resource in Fields(request).Where(f => f.Number == 1)
        from scope in Fields(resource.Bytes).Where(f => f.Number == 2)
        from span in Fields(scope.Bytes).Where(f => f.Number == 2)
        select Span([.. Fields(span.Bytes)]);

    static ReceivedSpan Span(ImmutableArray<(int Number, ulong Value, byte[] Bytes)> fields)
    {
        byte[] Bytes(int number) => fields.FirstOrDefault(f => f.Number == number).Bytes ?? [];
        DateTimeOffset Time(int number) => DateTimeOffset.UnixEpoch.AddTicks((long)(fields.Single(f => f.Number == number).Value / 100));
        var status = Fields(Bytes(15)).ToArray();
        return new ReceivedSpan(
            Convert.ToHexStringLower(Bytes(1)), Convert.ToHexStringLower(Bytes(2)), Convert.ToHexStringLower(Bytes(4)), Encoding.UTF8.GetString(Bytes(5)), Time(7), Time(8),
            (int)status.FirstOrDefault(f => f.Number == 3).Value, Encoding.UTF8.GetString(status.FirstOrDefault(f => f.Number == 2).Bytes ?? []),
            fields.Where(f => f.Number == 9).Select(f => Fields(f.Bytes).ToArray()).ToImmutableDictionary(f => Encoding.UTF8.GetString(f[0].Bytes), f => Value(f[1].Bytes)));
    }

    static string Value(byte[] any) => Fields(any).Single() is (1, _, var text) ? Encoding.UTF8.GetString(text) : Fields(any).Single().Value.ToString();

    /// <summary>The fields of a protobuf message: varints, eight bytes, and what has a length.</summary>
    static IEnumerable<(int Number, ulong Value, byte[] Bytes)> Fields(byte[] message)
    {
        for (var at = 0; at < message.Length;)
        {
            var tag = Varint(message, ref at);
            switch (tag & 7)
            {
                case 0:
                    yield return ((int)(tag >> 3), Varint(message, ref at), []);
                    break;
                case 1:
                    yield return ((int)(tag >> 3), BinaryPrimitives.ReadUInt64LittleEndian(message.AsSpan(at)), []);
                    at += 8;
                    break;
                case 2:
                    var length = (int)Varint(message, ref at);
                    yield return ((int)(tag >> 3), 0, message[at..(at + length)]);
                    at += length;
                    break;
                case 5:
                    at += 4;
                    break;
                default:
                    throw new InvalidDataException($"wire type {tag & 7}");
            }
        }
    }

    static ulong Varint(byte[] message, ref int at)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var b = message[at++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
    }
}
