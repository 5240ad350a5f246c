using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast.Swarm;
using Ka.Core.Faults;
using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast;

/// <summary>What the source has given for one broadcast so far.</summary>
/// <param name="Connections">Nodes that are being served now: one for a healthy chain.</param>
/// <param name="BytesOut">Bytes sent to all of them; the length of the image for a healthy chain.</param>
/// <param name="Served">Connections that got the stream to its end.</param>
public sealed record SourceReport(string Path, long Bytes, int Connections, long BytesOut, int Served);

/// <summary>The server's end of every chain: serves registered files from any offset to whoever knows the broadcast's key.</summary>
public sealed class ChainSource : IDisposable
{
    readonly ChainListener _listener;
    readonly ChainOptions _options;
    readonly Lock _gate = new();
    readonly Dictionary<string, (BroadcastKey Key, FileContent Content)> _files = new(StringComparer.Ordinal);

    /// <param name="address">Address of the nodes' network.</param>
    /// <param name="port">Zero lets the kernel choose.</param>
    public ChainSource(IPAddress address, int port, ChainOptions options)
    {
        _options = options;
        _listener = new ChainListener(address, port, options);
    }

    public int Port => _listener.Port;

    /// <summary>Begins to serve a file. Null, or why it cannot be served.</summary>
    /// <param name="key">64 hex digits, <see cref="BroadcastKey.Create"/>.</param>
    /// <param name="bytes">Length that the nodes are told.</param>
    public Fault? Register(string key, string path, long bytes) => BroadcastKey.TryParse(key, out var parsed)
        ? Register(parsed, path, bytes)
        : Fault.Of(FaultCodes.RequestInvalid, "A broadcast key has 64 hexadecimal digits.");

    /// <summary>Begins to serve a file as <see cref="Stripe.Pair"/> stripes, each under its own key. Null, or why it cannot be served.</summary>
    public Fault? RegisterStripes(BroadcastKey key, string path, long bytes, int chunkBytes)
    {
        for (var i = 0; i < Stripe.Pair; i++)
        {
            if (Register(key.Stripe(i), path, bytes, new Stripe(i, Stripe.Pair, chunkBytes)) is { } fault)
            {
                UnregisterStripes(key);
                return fault;
            }
        }
        return null;
    }

    public void UnregisterStripes(BroadcastKey key)
    {
        for (var i = 0; i < Stripe.Pair; i++)
        {
            Unregister(key.Stripe(i));
        }
    }

    /// <summary>The report of a broadcast of stripes, all together; null when it is not registered.</summary>
    public SourceReport? ReportStripes(BroadcastKey key)
    {
        var reports = Enumerable.Range(0, Stripe.Pair).Select(i => Report(key.Stripe(i))).OfType<SourceReport>().ToArray();
        return reports.Length == 0
            ? null
            : new SourceReport(reports[0].Path, reports.Sum(r => r.Bytes), reports.Sum(r => r.Connections), reports.Sum(r => r.BytesOut), reports.Sum(r => r.Served));
    }

    internal Fault? Register(BroadcastKey key, string path, long bytes) => Register(key, path, bytes, Stripe.Whole);

    Fault? Register(BroadcastKey key, string path, long bytes, Stripe stripe)
    {
        FileContent content;
        try
        {
            content = new FileContent(path, stripe.Bytes(bytes), _options, stripe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Fault.Of(FaultCodes.ArchiveInvalid, "The image cannot be read.", e.Message);
        }
        if (content.FileBytes < bytes)
        {
            content.Dispose();
            return Fault.Of(FaultCodes.ArchiveTruncated, "The image is shorter than registered.", $"{path}: {content.FileBytes} of {bytes} bytes");
        }
        Unregister(key);
        lock (_gate)
        {
            _files[key.Name] = (key, content);
        }
        _listener.Register(key, content);
        return null;
    }

    /// <summary>Ends a broadcast: its connections are closed. False when it was not there.</summary>
    public bool Unregister(string key) => BroadcastKey.TryParse(key, out var parsed) && Unregister(parsed);

    internal bool Unregister(BroadcastKey key)
    {
        (BroadcastKey Key, FileContent Content) file;
        lock (_gate)
        {
            if (!_files.Remove(key.Name, out file))
            {
                return false;
            }
        }
        _listener.Unregister(file.Key, file.Content);
        file.Content.Dispose();
        return true;
    }

    /// <summary>The report of one broadcast, or null when it is not registered.</summary>
    public SourceReport? Report(string key) => BroadcastKey.TryParse(key, out var parsed) ? Report(parsed) : null;

    internal SourceReport? Report(BroadcastKey key)
    {
        lock (_gate)
        {
            return _files.TryGetValue(key.Name, out var file) ? file.Content.Report(_listener.ConnectionsOf(key)) : null;
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        ImmutableArray<FileContent> contents;
        lock (_gate)
        {
            contents = [.. _files.Values.Select(f => f.Content)];
            _files.Clear();
        }
        foreach (var content in contents)
        {
            content.Dispose();
        }
    }

    /// <summary>A file served with positioned reads, so that all connections share one handle.</summary>
    sealed class FileContent : IChainContent, ISwarmFile, IDisposable
    {
        readonly SafeFileHandle _file;
        readonly string _path;
        readonly long _bytes;
        readonly ChainOptions _options;
        readonly bool _givesPages;
        readonly Stripe _stripe;
        long _bytesOut;
        int _served;
        int _shares;
        int _ended;

        public FileContent(string path, long bytes, ChainOptions options, Stripe stripe)
        {
            _path = path;
            _bytes = bytes;
            _stripe = stripe;
            _options = options;
            _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.SequentialScan);
            FileBytes = RandomAccess.GetLength(_file);
            _givesPages = Pipe.Takes(_file);
        }

        public long FileBytes { get; }

        public SourceReport Report(int connections) =>
            new(_path, _bytes, connections, Interlocked.Read(ref _bytesOut), Volatile.Read(ref _served));

        public void Serve(ChainConnection connection, Wish wish)
        {
            if (wish.IsSwarm)
            {
                Share(connection, wish.Offset);
                return;
            }
            var (offset, end) = (wish.Offset, Math.Min(wish.Until, _bytes));
            if (offset > _bytes)
            {
                connection.SendFrame(FrameKind.Refused);
                return;
            }
            if (_options.ZeroCopy && _givesPages)
            {
                offset = SendPages(connection, offset, end);
            }
            var block = new byte[offset < end ? Math.Min(_options.BlockBytes, ChainConnection.FrameLimit) : 0];
            while (offset < end)
            {
                var wanted = (int)Math.Min(block.Length, Math.Min(end - offset, _stripe.Together(offset)));
                var count = RandomAccess.Read(_file, block.AsSpan(0, wanted), _stripe.InImage(offset));
                if (count == 0)
                {
                    break; // the file was cut short meanwhile: the early end tells the node
                }
                connection.SendFrame(FrameKind.Data, new ArraySegment<byte>(block, 0, count));
                offset += count;
                Interlocked.Add(ref _bytesOut, count);
            }
            connection.SendFrame(FrameKind.End);
            connection.Finish(_options.ServerSend);
            Interlocked.Increment(ref _served);
        }

        /// <summary>Sends frames that nobody copies, as far as there are bytes and the connection can. Returns where it stopped.</summary>
        long SendPages(ChainConnection connection, long offset, long end)
        {
            while (true)
            {
                var at = _stripe.InImage(offset);
                var held = Math.Min(Math.Min(end - offset, _stripe.Together(offset)), RandomAccess.GetLength(_file) - at);
                var count = (int)Math.Min(held, Math.Min(_options.BlockBytes, ChainConnection.FrameLimit));
                if (count <= 0 || !connection.TrySendData(_file, at, count))
                {
                    return offset;
                }
                offset += count;
                Interlocked.Add(ref _bytesOut, count);
            }
        }

        void ISwarmFile.Read(long offset, Span<byte> into)
        {
            if (RandomAccess.Read(_file, into, _stripe.InImage(offset)) < into.Length)
            {
                throw new IOException($"the image ends before {offset + into.Length}");
            }
        }

        int ISwarmFile.Ended => Volatile.Read(ref _ended);

        void ISwarmFile.Sent(int bytes) => Interlocked.Add(ref _bytesOut, bytes);

        void Share(ChainConnection connection, long chunkBytes)
        {
            if (chunkBytes is <= 0 or > ImageManifest.ChunkLimit)
            {
                connection.SendFrame(FrameKind.Refused);
                return;
            }
            var share = Interlocked.Increment(ref _shares) - 1;
            try
            {
                new SwarmUpload(connection, new SwarmSource(this, _bytes, (int)chunkBytes, share, _options), _options).Run();
            }
            finally
            {
                Interlocked.Increment(ref _ended);
            }
        }

        public void Dispose() => _file.Dispose();
    }
}
