using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Drivers.Consoles;

namespace Ka.Server.Consoles;

/// <summary>
/// Owns the open serial lines: one line a node, one who writes, others who read along. The line is open while somebody is there, and what it
/// prints is recorded. A seat whose holder has lost the right is taken away within five seconds.
/// </summary>
/// <param name="refusal">Why somebody may not be at a node's console now; null when they may.</param>
/// <param name="directory">Of the records.</param>
public sealed partial class ConsoleDesk(OpenConsole open, Func<Caller, ClusterNode, Fault?> refusal, string directory, TimeProvider clock, ILogger<ConsoleDesk> log) : IDisposable
{
    /// <summary>Lines at once, each a process; people at one line.</summary>
    public const int LineLimit = 256, SeatLimit = 16;

    /// <summary>How often rights are looked at.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>How long a driver may take to begin with a line.</summary>
    static readonly TimeSpan OpenLimit = TimeSpan.FromSeconds(20);

    readonly Lock _gate = new();
    readonly Dictionary<string, OpenLine> _lines = new(StringComparer.Ordinal);
    bool _closed;

    /// <summary>Who is at which console now, by node and then by when they came.</summary>
    public ImmutableArray<ConsoleSeat> Seats
    {
        get
        {
            lock (_gate)
                return [.. _lines.Values.SelectMany(l => l.Seats).OrderBy(s => s.Node.Name, StringComparer.Ordinal).ThenBy(s => s.Since)];
        }
    }

    /// <summary>Why a seat would not be given now; null when it would.</summary>
    public Fault? Check(Caller caller, ClusterNode node, bool writes)
    {
        if (refusal(caller, node) is { } denied)
            return denied;
        lock (_gate)
            return Full(node, writes);
    }

    Fault? Full(ClusterNode node, bool writes)
    {
        if (_closed)
            return Fault.Of(FaultCodes.ConsoleEnded, "the server stops");
        if (!_lines.TryGetValue(node.Name, out var line))
            return _lines.Count < LineLimit ? null : Fault.Of(FaultCodes.ConsoleBusy, $"{LineLimit} consoles are open already");
        if (writes && line.Seats.Find(s => s.Writes) is { } writer)
            return Fault.Of(FaultCodes.ConsoleBusy, $"{writer.Caller.Name} writes at the console of {node.Name} since {writer.Since:yyyy-MM-dd HH:mm:ss}Z");
        return line.Seats.Count < SeatLimit ? null : Fault.Of(FaultCodes.ConsoleBusy, $"{SeatLimit} people are at the console of {node.Name} already");
    }

    /// <summary>Gives a seat, and opens the line for the first.</summary>
    public async Task<(ConsoleSeat? Seat, Fault? Fault)> SitAsync(Caller caller, ClusterNode node, bool writes, CancellationToken cancel)
    {
        if (refusal(caller, node) is { } denied)
            return (null, denied);
        ConsoleSeat seat;
        OpenLine? line;
        var first = false;
        lock (_gate)
        {
            if (Full(node, writes) is { } full)
                return (null, full);
            first = !_lines.TryGetValue(node.Name, out line);
            line ??= _lines[node.Name] = new OpenLine(node, new ConsoleRecord(directory, node.Name));
            var of = line;
            seat = new ConsoleSeat(caller, node, writes, clock.GetUtcNow(), (keys, token) => of.WriteAsync(keys, token));
            line.Seats.Add(seat);
        }
        if (first)
            _ = RunAsync(line);
        LogSat(caller.Name, node.Name, writes);
        try
        {
            if (await line.Opened.Task.WaitAsync(cancel) is not { } fault)
                return (seat, null);
            Leave(seat);
            return (null, fault);
        }
        catch (OperationCanceledException)
        {
            Leave(seat);
            throw;
        }
    }

    /// <summary>Gives a seat back; the last one closes the line.</summary>
    public void Leave(ConsoleSeat seat) => Take(seat, null);

    void Take(ConsoleSeat seat, Fault? why)
    {
        if (!seat.End(why))
            return;
        LogLeft(seat.Caller.Name, seat.Node.Name, why?.Code.Text ?? "left");
        lock (_gate)
            if (_lines.TryGetValue(seat.Node.Name, out var line) && line.Seats.Remove(seat) && line.Seats.Count == 0)
                Close(line);
    }

    /// <summary>The name is free at once; the process ends beside it.</summary>
    void Close(OpenLine line)
    {
        if (_lines.GetValueOrDefault(line.Node.Name) == line)
            _lines.Remove(line.Node.Name);
        line.Ends.Cancel();
    }

    async Task RunAsync(OpenLine line)
    {
        var why = Fault.Of(FaultCodes.ConsoleEnded, $"the serial line of {line.Node.Name} has ended");
        try
        {
            var (opened, fault) = await OpenAsync(line);
            if (opened is null)
            {
                line.Opened.TrySetResult(why = fault!);
                return;
            }
            await using (opened)
            {
                line.Opens(opened);
                var buffer = new byte[4096];
                int count;
                while ((count = await opened.ReadAsync(buffer, line.Ends.Token)) > 0)
                    Show(line, buffer.AsMemory(0, count).ToArray());
                why = why with { Evidence = opened.Evidence.Length == 0 ? null : opened.Evidence };
            }
        }
        catch (OperationCanceledException) when (line.Ends.IsCancellationRequested)
        {
        }
        catch (IOException e)
        {
            why = why with { Evidence = e.Message };
        }
        finally
        {
            line.Opened.TrySetResult(why);
            ConsoleSeat[] left;
            lock (_gate)
            {
                Close(line);
                left = [.. line.Seats];
            }
            foreach (var seat in left)
                Take(seat, why);
        }
    }

    async Task<(IConsoleLine?, Fault?)> OpenAsync(OpenLine line)
    {
        using var late = new CancellationTokenSource(OpenLimit, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, line.Ends.Token);
        try
        {
            return await open(line.Node, either.Token);
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested)
        {
            return (null, Fault.Of(FaultCodes.ConsoleEnded, $"the serial line of {line.Node.Name} did not open within {OpenLimit.TotalSeconds:0} s"));
        }
    }

    void Show(OpenLine line, ReadOnlyMemory<byte> printed)
    {
        try
        {
            if (line.IsRecorded)
                line.Record.Add(printed.Span);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            line.IsRecorded = false;
            LogUnrecorded(line.Node.Name, e.Message);
        }
        lock (_gate)
            foreach (var seat in line.Seats)
                seat.Show(printed);
    }

    /// <summary>What a node printed while somebody was at its console, the newest last.</summary>
    public byte[] Recorded(ClusterNode node) => new ConsoleRecord(directory, node.Name).Read();

    /// <summary>Takes away the seats of those who have lost the right, until cancelled.</summary>
    public async Task WatchAsync(CancellationToken cancel)
    {
        while (true)
        {
            await Task.Delay(Period, clock, cancel);
            foreach (var seat in Seats)
                if (refusal(seat.Caller, seat.Node) is { } lost)
                    Take(seat, Fault.Of(FaultCodes.RightsEnded, $"{seat.Caller.Name} has no right any more on {seat.Node.Name}", lost.Evidence ?? lost.Message));
        }
    }

    /// <summary>Takes every seat away; none is given any more.</summary>
    public void Dispose()
    {
        lock (_gate)
            _closed = true;
        foreach (var seat in Seats)
            Take(seat, Fault.Of(FaultCodes.ConsoleEnded, "the server stops"));
    }

    [LoggerMessage(4101, LogLevel.Information, "{Caller} sits down at the console of {Node}, writing: {Writes}")]
    partial void LogSat(string caller, string node, bool writes);

    [LoggerMessage(4102, LogLevel.Information, "{Caller} is no longer at the console of {Node}: {Why}")]
    partial void LogLeft(string caller, string node, string why);

    [LoggerMessage(4103, LogLevel.Error, "the console of {Node} is not recorded any more: {Why}")]
    partial void LogUnrecorded(string node, string why);

    /// <summary>One node's line with those who are there; guarded by the desk.</summary>
    sealed class OpenLine(ClusterNode node, ConsoleRecord record)
    {
        IConsoleLine? _line;

        public ClusterNode Node => node;

        public ConsoleRecord Record => record;

        public bool IsRecorded { get; set; } = true;

        public List<ConsoleSeat> Seats { get; } = [];

        public CancellationTokenSource Ends { get; } = new();

        /// <summary>Null when the line is open, else why it is not.</summary>
        public TaskCompletionSource<Fault?> Opened { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Opens(IConsoleLine line)
        {
            _line = line;
            Opened.TrySetResult(null);
        }

        public ValueTask WriteAsync(ReadOnlyMemory<byte> keys, CancellationToken cancel) => _line!.WriteAsync(keys, cancel);
    }
}

/// <summary>Watches with the server.</summary>
sealed class ConsoleWatching(ConsoleDesk desk) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => desk.WatchAsync(stoppingToken);
}
