namespace Ka.Cli;

/// <summary>Exit statuses of <c>ka</c>: what a script may rely on.</summary>
public static class ExitCodes
{
    public const int Done = 0;
    public const int AllFailed = 1;
    public const int Usage = 2;
    public const int SomeFailed = 3;
    public const int StillRunning = 4;
    public const int Cancelled = 5;
    public const int BadData = 65;
    public const int Unreachable = 69;
    public const int Internal = 70;
    public const int NotWritten = 74;
    public const int Busy = 75;
    public const int NoRight = 77;
    public const int BadConfiguration = 78;
    public const int Left = 130;

    /// <summary>All of them, for the manual.</summary>
    public static readonly (int Code, string Meaning)[] Meanings =
    [
        (Done, "Everything that was asked for is done, or --min-nodes was reached."),
        (AllFailed, "It failed on every node."),
        (Usage, "Wrong use; the message names the option."),
        (SomeFailed, "Some nodes are well, some failed; or some of several servers."),
        (StillRunning, "--timeout is over; the operation goes on."),
        (Cancelled, "Cancelled."),
        (BadData, "Bad data: a node set, an environment, a file."),
        (Unreachable, "The server does not answer."),
        (Internal, "An error of the program itself; please report it."),
        (NotWritten, "Input or output failed, as on a full disk."),
        (Busy, "Busy or stopped: try later."),
        (NoRight, "No right."),
        (BadConfiguration, "The configuration is invalid."),
        (Left, "Left by Ctrl-C; the operation goes on."),
    ];

    /// <summary>The status for an operation that has ended.</summary>
    public static int OfState(string state) => state switch
    {
        "done" => Done,
        "partial" => SomeFailed,
        "failed" => AllFailed,
        "cancelled" => Cancelled,
        _ => Internal,
    };

    /// <summary>The status for a refusal of the server.</summary>
    public static int OfProblem(int status, string code) => code switch
    {
        "nodes.busy" or "environment.in_use" or "auth.busy" or "nodes.drained" or "server.stopped" or "console.busy" or "store.full" or "upload.offset" => Busy,
        "auth.missing" or "auth.sign_in_refused" or "rights.ended" => NoRight,
        "console.ended" or "console.none" => AllFailed,
        "server.unreachable" or "auth.issuer_unreachable" => Unreachable,
        "config.invalid" or "minimal.missing" or "auth.no_issuer" => BadConfiguration,
        _ when status == 403 => NoRight,
        _ when status >= 500 => Internal,
        _ => BadData,
    };
}
