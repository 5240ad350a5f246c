using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using Ka.Protocol.Rest;
using Polly;
using Polly.Retry;

namespace Ka.Cli;

/// <summary>
/// Sends one file under its digest and goes on where it stopped: after a cut of the connection by itself, after a killed client when it is called again. The protocol is the IETF's
/// "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload).
/// </summary>
/// <param name="retryAfter">Wait before the first repetition; it doubles with each that brings nothing.</param>
sealed class Upload(Server server, string path, string sha256, TimeSpan retryAfter)
{
    /// <summary>Repetitions in a row that bring nothing.</summary>
    const int Repeats = 5;

    /// <summary>Shorter files are not worth a question whether they may come.</summary>
    const long Large = 1 << 20;

    readonly string _route = $"api/v1/files/{sha256}";
    long _length, _begun = -1;
    int _fruitless;

    /// <summary>Null when the server has the file.</summary>
    public async Task<Problem?> SendAsync(CancellationToken cancel)
    {
        _length = new FileInfo(path).Length;
        var retries = new ResiliencePipelineBuilder<Problem?>().AddRetry(new RetryStrategyOptions<Problem?>
        {
            // Never answered: a person wants to know at once. It is counted here, for what counts is repetitions without a byte.
            MaxRetryAttempts = int.MaxValue,
            ShouldHandle = a => ValueTask.FromResult(_begun >= 0 && a.Outcome.Result is { Code: "server.unreachable" or "upload.offset" } && ++_fruitless <= Repeats),
            DelayGenerator = _ => ValueTask.FromResult<TimeSpan?>(retryAfter * (1 << (_fruitless - 1))),
            OnRetry = _ =>
            {
                Console.Error.WriteLine(Terminal.Safe($"ka: {Path.GetFileName(path)}: the connection broke, going on"));
                return ValueTask.CompletedTask;
            },
        }).Build();
        return await retries.ExecuteAsync(async token => await GoOnAsync(token), cancel);
    }

    /// <summary>Asks how far it came and sends the rest.</summary>
    async Task<Problem?> GoOnAsync(CancellationToken cancel)
    {
        var head = await server.AskAsync(new HttpRequestMessage(HttpMethod.Head, _route), cancel);
        if (head.Value is not { } found)
            return head.Problem;
        if (!found.IsSuccessStatusCode && found.StatusCode != HttpStatusCode.NotFound)
            return await Server.ProblemOfAsync(found, cancel);
        if (Header(found, "Upload-Complete") is "?1")
            return null;
        var offset = found.IsSuccessStatusCode && long.TryParse(Header(found, "Upload-Offset"), NumberStyles.None, CultureInfo.InvariantCulture, out var come) && come <= _length ? come : 0;
        if (offset > 0 && _begun < 0)
            Console.Error.WriteLine(Terminal.Safe($"ka: {Path.GetFileName(path)} goes on at {Terminal.Size(offset)} of {Terminal.Size(_length)}"));
        if (offset > _begun)
            _fruitless = 0;
        _begun = offset;
        await using var file = File.OpenRead(path);
        file.Position = offset;
        using var progress = new UploadProgress(Path.GetFileName(path), offset, _length);
        var request = new HttpRequestMessage(HttpMethod.Patch, _route) { Content = new Rest(file, progress) };
        request.Headers.Add("Upload-Offset", offset.ToString(CultureInfo.InvariantCulture));
        request.Headers.Add("Upload-Complete", "?1");
        // What does not fit is refused before it is sent.
        request.Headers.ExpectContinue = _length - offset >= Large;
        var sent = await server.AskAsync(request, cancel);
        return sent.Value is { } reply ? reply.IsSuccessStatusCode ? null : await Server.ProblemOfAsync(reply, cancel) : sent.Problem;
    }

    static string? Header(HttpResponseMessage reply, string name) => reply.Headers.TryGetValues(name, out var values) ? values.First() : null;

    /// <summary>The file from where it stands to its end.</summary>
    sealed class Rest : HttpContent
    {
        readonly FileStream _file;
        readonly UploadProgress _progress;

        public Rest(FileStream file, UploadProgress progress)
        {
            (_file, _progress) = (file, progress);
            Headers.ContentType = new MediaTypeHeaderValue("application/partial-upload");
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            var buffer = new byte[256 * 1024];
            int n;
            while ((n = await _file.ReadAsync(buffer, cancellationToken)) > 0)
            {
                await stream.WriteAsync(buffer.AsMemory(0, n), cancellationToken);
                _progress.Sent(n);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _file.Length - _file.Position;
            return true;
        }
    }
}

/// <summary>One line on a terminal that says how far an upload is; nothing elsewhere.</summary>
sealed class UploadProgress(string name, long from, long length) : IDisposable
{
    static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(500);

    readonly long _began = TimeProvider.System.GetTimestamp();
    long _sent;
    TimeSpan _drawn;

    public void Sent(int bytes)
    {
        _sent += bytes;
        var gone = TimeProvider.System.GetElapsedTime(_began);
        if (!Terminal.IsLive || gone - _drawn < Pace)
            return;
        _drawn = gone;
        Console.Error.Write($"\r{Line(name, from + _sent, length, _sent / gone.TotalSeconds)}\e[K");
    }

    internal static string Line(string name, long come, long length, double rate) =>
        Terminal.Safe($"{name}  {Terminal.Size(come)} of {Terminal.Size(length)}  {(length == 0 ? 100 : come * 100 / length)} %  {Terminal.Size((long)rate)}/s");

    public void Dispose()
    {
        if (_drawn > TimeSpan.Zero)
            Console.Error.Write("\r\e[K");
    }
}
